"""The drawn images of the demo, in archives laid out as the public ones."""
