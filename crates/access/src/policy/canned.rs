//! Policies by name.

/// Names and documents of the canned policies: the three names of the field. Each carries the rights on KMS keys that its
/// rights on objects are worth nothing without; writing in parts takes `kms:Decrypt` too, as at AWS.
pub const CANNED_POLICIES: &[(&str, &str)] = &[
    (
        "readonly",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"],
      "Resource": "arn:aws:s3:::*"
    },
    {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "arn:aws:kms:::key/*"}
  ]
}"#,
    ),
    (
        "readwrite",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*"},
    {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "arn:aws:kms:::key/*"}
  ]
}"#,
    ),
    (
        "writeonly",
        r#"{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["s3:PutObject", "s3:AbortMultipartUpload"], "Resource": "arn:aws:s3:::*"},
    {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "arn:aws:kms:::key/*"}
  ]
}"#,
    ),
];
