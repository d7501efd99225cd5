//! Names of buckets and keys.

use std::net::IpAddr;

/// First path segments that never name a bucket: admin and health calls of clients go there.
pub(crate) const RESERVED: [&str; 3] = ["minio", "rustfs", "strongroom"];

/// The admin port's own first path segment. A request for a bucket of that name would be signed like one for administration.
const ADMIN_PATH: &str = "kms";

/// The longest key, in bytes of UTF-8.
pub(crate) const MAX_KEY_LEN_BYTES: usize = 1024;

/// Whether the name may not be a bucket's, and why.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>
pub(crate) fn bucket_name_fault(name: &str) -> Option<&'static str> {
    let alphanumeric = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let allowed = |byte: u8| alphanumeric(Some(byte)) || byte == b'.' || byte == b'-';
    if !(3..=63).contains(&name.len()) {
        Some("it must have 3 to 63 characters")
    } else if !name.bytes().all(allowed) {
        Some("it may hold lower-case letters, digits, dots and hyphens only")
    } else if !alphanumeric(name.bytes().next()) || !alphanumeric(name.bytes().next_back()) {
        Some("it must begin and end with a letter or a digit")
    } else if name.contains("..") || name.contains(".-") || name.contains("-.") {
        Some("dots must stand between letters or digits")
    } else if name.parse::<IpAddr>().is_ok() {
        Some("it must not look like an IP address")
    } else if ["xn--", "sthree-"].iter().any(|prefix| name.starts_with(prefix)) {
        Some("its beginning is reserved")
    } else if ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|suffix| name.ends_with(suffix)) {
        Some("its end is reserved")
    } else if RESERVED.contains(&name) || name == ADMIN_PATH {
        Some("it is reserved")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules_of_s3() {
        for name in ["abc", "my-bucket", "my.bucket.1", "0a0", &"a".repeat(63), "a-b.c-d", "photos-s3"] {
            assert_eq!(bucket_name_fault(name), None, "{name}");
        }
        let long = "a".repeat(64);
        for name in [
            "",
            "ab",
            &long,
            "Abc",
            "a_b",
            "-ab",
            "ab-",
            ".ab",
            "ab.",
            "a..b",
            "foo-.bar",
            "foo.-bar",
            "192.168.5.4",
            "xn--abc",
            "a-s3alias",
            "x--ol-s3",
            "minio",
            "rustfs",
            "strongroom",
            "ab c",
            "bücher",
        ] {
            assert!(bucket_name_fault(name).is_some(), "{name}");
        }
    }
}
