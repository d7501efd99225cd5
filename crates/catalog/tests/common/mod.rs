//! What the tests of several engines share.
#![allow(dead_code)]

pub(crate) mod ops;
pub(crate) mod outbox;

/// How many counts of what depends on a key in a bucket are not what a full count gives.
pub(crate) const WRONG_USAGES: &str = "WITH counted AS (SELECT kms_key, bucket, sum(versions), sum(bytes), sum(uploads) FROM (
        SELECT kms_key, bucket, 1 AS versions, size_bytes AS bytes, 0 AS uploads FROM versions WHERE kms_key IS NOT NULL
        UNION ALL SELECT kms_key, bucket, 0, 0, 1 FROM uploads WHERE kms_key IS NOT NULL) GROUP BY kms_key, bucket)
    SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM key_usage))
         + (SELECT count(*) FROM (SELECT * FROM key_usage EXCEPT SELECT * FROM counted))";
