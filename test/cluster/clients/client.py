# Prints who the pod is for STS, asked with the credentials that boto3 finds by itself.
import os

import boto3

sts = boto3.client("sts", region_name="us-east-1", endpoint_url=os.environ["STS_URL"])
print(sts.get_caller_identity()["Arn"])
