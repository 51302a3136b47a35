# Chatrack with the plugins of this repository. Its config is /app/config.toml, its data /app/data.
#
#     docker build -t chatrack .
#     docker run -p 8000:8000 -e JWT_SECRET=… chatrack
FROM python:3.13-slim

WORKDIR /build
COPY constraints.txt ./
COPY core core
COPY plugins plugins
RUN pip install --no-cache-dir --root-user-action=ignore -c constraints.txt './core[redis]' ./plugins/* \
    && rm -r /build

WORKDIR /app
COPY config.docker.toml config.toml
RUN useradd --system chatrack && mkdir data && chown chatrack data
USER chatrack
VOLUME /app/data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/ready')"]
CMD ["chatrack", "serve"]
