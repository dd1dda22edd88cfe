"""docbatch: nightly document analysis as Amazon Bedrock batch inference, with the cost of every row."""

__version__ = "0.1.0"
