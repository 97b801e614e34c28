"""ImageNet backbones with a new head: ResNet50V2 and VGG16 (smatika), MobileNetV2 (jitet), ResNet50 (covid_hybrid)."""

from pathlib import Path

from keras import layers

from rontgen.models.blocks import backbone

PAPER = {
    # smatika: test accuracy 0.97; 24,089,601 parameters
    "resnet50v2": {"pooling": "average", "dense_units": 256, "dropout": 0.3, "head": "sigmoid", "unfrozen_layers": 20},
    # smatika: test accuracy 0.92; 14,846,273 parameters
    "vgg16": {"pooling": "average", "dense_units": 256, "dropout": 0.3, "head": "sigmoid", "unfrozen_layers": 0},
    # jitet: test accuracy 0.9747; 2,260,546 parameters, about 9 MB. The dropout rate is ours.
    "mobilenetv2": {"pooling": "average", "dense_units": None, "dropout": 0.2, "head": "softmax", "unfrozen_layers": 0},
    # covid_hybrid: test accuracy 0.93. The head is ours.
    "resnet50": {"pooling": "average", "dense_units": None, "dropout": 0.2, "head": "sigmoid", "unfrozen_layers": 0},
}


def features(pixels, name: str, weights: Path | None, options: dict):
    """The backbone's last feature map, averaged or flattened. (N, H, W, 3) to (N, features)."""
    feature_map = backbone(name, pixels, weights)
    if options["pooling"] == "flatten":
        return layers.Flatten(name="flatten")(feature_map)
    return layers.GlobalAveragePooling2D(name="average_pool")(feature_map)
