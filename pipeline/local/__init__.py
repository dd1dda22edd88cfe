"""The embedded default: an S3 server, a Bedrock endpoint and an engine that answers, all on loopback."""
