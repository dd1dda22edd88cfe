"""Amazon Bedrock through boto3: jobs and single calls, which errors are repeated, the pace of calls."""
