# docker build --tag rontgen .                          for a CPU
# docker build --tag rontgen --build-arg EXTRAS=gpu .   with CUDA; docker run --gpus all
# docker run --rm --interactive --tty --volume rontgen:/rontgen rontgen
FROM python:3.11-slim AS base
RUN apt-get update \
    && apt-get install --yes --no-install-recommends chromium git make \
    && rm --recursive /var/lib/apt/lists/*

FROM base
ARG EXTRAS=
WORKDIR /rontgen
# the packages in a layer of their own, which a change of the code leaves as it is
COPY Makefile pyproject.toml README.md requirements*.txt ./
RUN mkdir --parents src/rontgen && touch src/rontgen/__init__.py && make setup EXTRAS="$EXTRAS"
COPY . .
# newer than the files it was made from, or `make` installs again
RUN touch .venv/installed*
ENV PATH=/rontgen/.venv/bin:$PATH
CMD ["bash"]
