# Prints who the pod is for STS, with the credentials that boto3 finds by itself; then drops them and asks anew until
# that changed.
import os
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError

session = boto3.Session(region_name="us-east-1")
sts = session.client("sts", endpoint_url=os.environ["STS_URL"])


def who():
    return sts.get_caller_identity()["Arn"]


first = who()
print(first, flush=True)
# Credentials that have less than a day left are refreshed before each call, and none have more.
credentials = session.get_credentials()
credentials._advisory_refresh_timeout = credentials._mandatory_refresh_timeout = 24 * 60 * 60
following = first
while following == first:
    time.sleep(0.25)
    try:
        following = who()
    except BotoCoreError as error:
        # It fails when the role changes after the client was told of it and before it has its credentials.
        print(error, file=sys.stderr)
print(following)
