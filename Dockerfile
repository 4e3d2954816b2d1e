# The image of the container tier, see docs/containers.md.
#
#     docker build -t netwright .                                                  torch for CPU
#     docker build -t netwright --build-arg WHEELS=https://pypi.org/simple .       torch's default build, with CUDA
FROM python:3.11-slim

ARG WHEELS=https://download.pytorch.org/whl/cpu

# Libraries first: the image has to be rebuilt whenever netwright changes, and this layer stays.
COPY pyproject.toml /usr/src/netwright/
RUN python -c "import tomllib; print(*tomllib.load(open('/usr/src/netwright/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/libraries.txt \
    && pip install --no-cache-dir --extra-index-url "$WHEELS" --requirement /tmp/libraries.txt \
    && rm /tmp/libraries.txt

COPY . /usr/src/netwright
RUN pip install --no-cache-dir --no-deps /usr/src/netwright

# `netwright run --sandbox docker` names a user and a command of its own; these are for trying the image by hand.
USER 65534:65534
WORKDIR /tmp
ENTRYPOINT ["netwright"]
CMD ["--help"]
