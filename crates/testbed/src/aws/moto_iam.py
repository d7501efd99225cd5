"""Users and roles of a running Moto: moto_iam.py URL user NAME POLICY | role NAME POLICY | revoke USER KEY | authorize"""

import json
import sys
import urllib.request

import boto3

url, verb, *arguments = sys.argv[1:]
iam = boto3.client("iam", endpoint_url=url)

if verb == "authorize":
    # From now on no call goes through unsigned or unpermitted.
    plain = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset-auth", data=b"0", headers=plain), timeout=10)
elif verb == "user":
    name, policy = arguments
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    print(key["AccessKeyId"], key["SecretAccessKey"])
elif verb == "role":
    name, policy = arguments
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy)
    print(role["Arn"])
elif verb == "revoke":
    user, key_id = arguments
    iam.delete_access_key(UserName=user, AccessKeyId=key_id)
else:
    sys.exit(__doc__)
