# A static binary alone in an empty image, run as a numeric user that is not root.
#
#   docker build --build-arg VERSION=0.1.0 -t aftercare .
#
# Without tokens the service refuses every address but loopback, so a published port (-p)
# does not reach it. For a trial on your own machine let it share the machine's network:
#
#   docker run --rm --network host -v aftercare-data:/data aftercare
#   docker run --rm --network host aftercare demo
#
# With tokens (AFTERCARE_AUTH=jwt) it may listen on all addresses, AFTERCARE_LISTEN=0.0.0.0:8080,
# with TLS of its own (AFTERCARE_TLS_CERT) or behind a proxy; see the README.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=development
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/aftercare .
RUN mkdir -p /out/root/data /out/root/tmp && chmod 1777 /out/root/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /out/root/ /
COPY --from=build /out/aftercare /aftercare
USER 65532:65532
ENV AFTERCARE_DATABASE=sqlite:/data/aftercare.db
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/aftercare", "check"]
ENTRYPOINT ["/aftercare"]
CMD ["serve"]
