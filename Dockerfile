# A server without QGIS: docker build -t alise . && docker run --rm -v "$PWD:/data" alise segment --help
FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-gdal python3-venv ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml README.md LICENSE metadata.txt /source/
COPY alise_plugin /source/alise_plugin
COPY models /source/models
# Debian's GDAL is built for the first version of NumPy.
RUN python3 -m venv --system-site-packages /opt/alise \
    && /opt/alise/bin/pip install --no-cache-dir "numpy<2" /source
RUN useradd --create-home alise
USER alise
WORKDIR /data
ENTRYPOINT ["/opt/alise/bin/alise"]
