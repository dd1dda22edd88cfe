"""Object stores, and what is exclusive in them: S3, a local folder or memory; leases."""
