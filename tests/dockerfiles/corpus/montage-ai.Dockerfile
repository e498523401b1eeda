# syntax=docker/dockerfile:1
# Stable layers first, code last.
FROM continuumio/miniconda3:latest

ARG TARGETARCH
WORKDIR /app

RUN apt-get update && apt-get install -y --no-install-recommends \
      ffmpeg \
      libvulkan1 vulkan-tools \
    && rm -rf /var/lib/apt/lists/*

RUN curl -fsSL https://deb.nodesource.com/setup_20.x | bash - \
    && apt-get install -y nodejs \
    && npm install -g cgpu

RUN conda install -y -c conda-forge python=3.11 librosa numba && conda clean -afy

COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt

RUN case "${TARGETARCH}" in \
      amd64) url=https://example.org/realesrgan-x64.zip ;; \
      arm64) url=https://example.org/realesrgan-arm.zip ;; \
    esac; curl -fsSL "$url" -o /tmp/r.zip && unzip /tmp/r.zip -d /opt/realesrgan

COPY pyproject.toml .
RUN pip install --no-deps -e .
COPY src/ src/

ENTRYPOINT ["python", "-m", "montage_ai"]
