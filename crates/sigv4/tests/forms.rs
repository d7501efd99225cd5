//! Browser forms, with the example of the S3 documentation.
#![allow(clippy::unwrap_used)]

mod common;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{ACCESS_KEY, SECRET, Signer, timestamp};
use serde_json::{Value, json};
use strongroom_sigv4::{
    Rules, SignatureError,
    post_policy::{FormClaim, FormError, VerifiedPolicy},
};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2015-12-29 00:00:00 UTC);
const BUCKET: &str = "sigv4examplebucket";

type Fields = Vec<(String, String)>;

fn verify(fields: &Fields, now: OffsetDateTime) -> Result<VerifiedPolicy, FormError> {
    FormClaim::read(fields, false)?.ok_or(FormError::FieldMissing("policy"))?.verify(SECRET, now, &Rules::S3)
}

fn check(fields: &Fields) -> Result<VerifiedPolicy, FormError> {
    let policy = verify(fields, NOW)?;
    policy.check_fields(fields, BUCKET)?;
    Ok(policy)
}

fn set(fields: &mut Fields, name: &str, value: &str) {
    fields.retain(|(other, _)| other != name);
    fields.push((name.to_owned(), value.to_owned()));
}

/// A form with a policy of these conditions and those of its signature.
fn form(conditions: &[Value], fields: &[(&str, &str)]) -> Fields {
    let of_signature = [
        json!({"x-amz-credential": format!("{ACCESS_KEY}/20151229/us-east-1/s3/aws4_request")}),
        json!({"x-amz-algorithm": "AWS4-HMAC-SHA256"}),
        json!(["starts-with", "$x-amz-date", ""]),
    ];
    let conditions = [conditions, &of_signature].concat();
    signed(&json!({"expiration": "2015-12-30T12:00:00.000Z", "conditions": conditions}).to_string(), fields)
}

fn signed(policy: &str, fields: &[(&str, &str)]) -> Fields {
    let signer = Signer::s3(NOW);
    let policy = STANDARD.encode(policy);
    let mut form: Fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    set(&mut form, "X-Amz-Credential", &format!("{ACCESS_KEY}/{}", signer.scope()));
    set(&mut form, "X-Amz-Algorithm", "AWS4-HMAC-SHA256");
    set(&mut form, "X-Amz-Date", &timestamp(NOW));
    set(&mut form, "X-Amz-Signature", &signer.sign(&policy));
    set(&mut form, "Policy", &policy);
    form
}

fn simple() -> Fields {
    form(&[json!(["starts-with", "$key", "user/"]), json!({"bucket": BUCKET})], &[("key", "user/a")])
}

/// The lines of the documented policy, which was signed with carriage returns.
const EXAMPLE: &str = r#"{ "expiration": "2015-12-30T12:00:00.000Z",
  "conditions": [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],

    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z" }
  ]
}"#;

#[test]
fn the_example_of_the_documentation_is_accepted() {
    let mut fields = signed(
        &EXAMPLE.replace('\n', "\r\n"),
        &[
            ("key", "user/user1/${filename}"),
            ("acl", "public-read"),
            ("success_action_redirect", "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"),
            ("Content-Type", "image/jpeg"),
            ("x-amz-meta-uuid", "14365123651274"),
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-meta-tag", ""),
        ],
    );
    set(&mut fields, "X-Amz-Signature", "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e");
    let policy = check(&fields).unwrap();
    assert_eq!(policy.access_key(), ACCESS_KEY);
    assert_eq!(policy.expiration(), datetime!(2015-12-30 12:00:00 UTC));
    assert_eq!(policy.length_range(), 0..=u64::MAX);
}

#[test]
fn a_form_without_a_signature_is_no_claim() {
    assert!(FormClaim::read(&[("key".to_owned(), "a".to_owned())], false).unwrap().is_none());
}

#[test]
fn a_policy_is_good_until_it_expires_whenever_its_form_was_made() {
    let fields = simple();
    let refusal = |now| verify(&fields, now).err();
    assert_eq!(refusal(datetime!(2015-12-30 11:59:59 UTC)), None);
    assert_eq!(refusal(datetime!(2015-12-30 12:00:00 UTC)), Some(FormError::Expired));
    assert_eq!(refusal(datetime!(2026-01-01 00:00:00 UTC)), Some(FormError::Expired));
    assert_eq!(refusal(NOW - Duration::minutes(15)), None);
    assert_eq!(refusal(NOW - Duration::minutes(16)), Some(SignatureError::NotYetValid.into()));
}

#[test]
fn an_altered_policy_signature_or_credential_is_refused() {
    let mismatch = Some(FormError::Signature(SignatureError::Mismatch));
    let fields = simple();
    let policy = fields.iter().find(|(name, _)| name == "Policy").unwrap().1.clone();
    for at in 0..policy.len() {
        let mut altered = policy.clone().into_bytes();
        altered[at] ^= 1;
        let mut form = fields.clone();
        set(&mut form, "Policy", std::str::from_utf8(&altered).unwrap());
        assert_eq!(verify(&form, NOW).err(), mismatch, "{at}");
    }
    for (name, value) in [
        ("X-Amz-Signature", "0".repeat(64)),
        ("X-Amz-Signature", "0".repeat(63)),
        ("X-Amz-Credential", format!("{ACCESS_KEY}/20151229/eu-west-1/s3/aws4_request")),
    ] {
        let mut form = fields.clone();
        set(&mut form, name, &value);
        assert_eq!(verify(&form, NOW).err(), mismatch, "{name}");
    }
}

#[test]
fn each_broken_field_of_the_signature_has_its_error() {
    let credential = |scope: &str| format!("{ACCESS_KEY}/{scope}");
    let invalid = |name, what| FormError::FieldInvalid(name, what);
    let rows = [
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA1".to_owned(), invalid("x-amz-algorithm", "it must be AWS4-HMAC-SHA256")),
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256".to_owned(), SignatureError::AsymmetricNotImplemented.into()),
        ("X-Amz-Date", "2015-12-29".to_owned(), invalid("x-amz-date", "it must have the format YYYYMMDDThhmmssZ")),
        (
            "X-Amz-Credential",
            credential("20151230/us-east-1/s3/aws4_request"),
            invalid("x-amz-credential", "its date is not that of x-amz-date"),
        ),
        ("X-Amz-Credential", credential("20151229/us-east-1/iam/aws4_request"), invalid("x-amz-credential", "it is for another service")),
        (
            "X-Amz-Credential",
            credential("20151229/us-east-1/s3/aws5_request"),
            invalid("x-amz-credential", "the credential must end in aws4_request"),
        ),
        ("X-Amz-Credential", credential("20151229/US/s3/aws4_request"), SignatureError::WrongRegion { region: "US".to_owned() }.into()),
        ("Policy", "A".repeat((20 << 10) + 1), FormError::InvalidPolicy("it is too long")),
        ("AWSAccessKeyId", ACCESS_KEY.to_owned(), SignatureError::VersionTwo.into()),
        ("Signature", "c2ln".to_owned(), SignatureError::VersionTwo.into()),
    ];
    for (name, value, expected) in rows {
        let mut form = simple();
        set(&mut form, name, &value);
        assert_eq!(verify(&form, NOW).err(), Some(expected), "{name}");
    }
    for name in ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "Policy"] {
        let mut form = simple();
        form.retain(|(other, _)| other != name);
        assert!(matches!(verify(&form, NOW), Err(FormError::FieldMissing(missing)) if missing.eq_ignore_ascii_case(name)), "{name}");
        let mut form = simple();
        form.push((name.to_ascii_lowercase(), "x".to_owned()));
        assert_eq!(verify(&form, NOW).err(), Some(FormError::FieldRepeated(name.to_ascii_lowercase())), "{name}");
    }
}

#[test]
fn a_policy_that_is_none_is_refused_after_its_signature_holds() {
    let deep = format!(r#"{{"expiration":"2015-12-30T12:00:00Z","conditions":[{}1{}]}}"#, "[".repeat(5000), "]".repeat(5000));
    let many = json!({"expiration": "2015-12-30T12:00:00Z", "conditions": vec![json!({"a": "b"}); 257]}).to_string();
    let rows = [
        ("", "it is no JSON of expiration and conditions"),
        ("[]", "it is no JSON of expiration and conditions"),
        ("{}", "it is no JSON of expiration and conditions"),
        (r#"{"expiration":"2015-12-30T12:00:00Z"}"#, "it is no JSON of expiration and conditions"),
        (r#"{"expiration":"2015-12-30T12:00:00Z","conditions":[],"more":1}"#, "it is no JSON of expiration and conditions"),
        (r#"{"expiration":"tomorrow","conditions":[]}"#, "its expiration is no date"),
        (r#"{"expiration":"2015-12-30T12:00:00Z","conditions":[["like","$key","a"]]}"#, "a condition does not have its form"),
        (&deep, "it is no JSON of expiration and conditions"),
        (&many, "it has too many conditions"),
    ];
    for (policy, expected) in rows {
        assert_eq!(verify(&signed(policy, &[]), NOW).err(), Some(FormError::InvalidPolicy(expected)), "{policy:.80}");
    }
    let mut form = simple();
    let policy = "no base64!";
    set(&mut form, "Policy", policy);
    set(&mut form, "X-Amz-Signature", &Signer::s3(NOW).sign(policy));
    assert_eq!(verify(&form, NOW).err(), Some(FormError::InvalidPolicy("it is no base64")));
}

#[test]
fn every_field_must_keep_to_a_condition() {
    check(&simple()).unwrap();
    let failed = |condition: &str| Some(FormError::ConditionFailed(condition.to_owned()));
    let mut other_key = simple();
    set(&mut other_key, "key", "admin/a");
    assert_eq!(check(&other_key).err(), failed(r#"["starts-with", "$key", "user/"]"#));
    let mut no_key = simple();
    no_key.retain(|(name, _)| name != "key");
    assert_eq!(check(&no_key).err(), failed(r#"["starts-with", "$key", "user/"]"#));
    let mut two_keys = simple();
    two_keys.push(("Key".to_owned(), "admin/a".to_owned()));
    assert_eq!(check(&two_keys).err(), Some(FormError::FieldRepeated("key".to_owned())));
    for name in ["acl", "x-amz-server-side-encryption", "x-amz-security-token", "submit", "tagging"] {
        let mut extra = simple();
        set(&mut extra, name, "x");
        assert_eq!(check(&extra).err(), Some(FormError::ExtraField(name.to_owned())), "{name}");
    }
    let mut ignored = simple();
    set(&mut ignored, "x-ignore-me", "x");
    check(&ignored).unwrap();
}

#[test]
fn the_bucket_is_the_one_of_the_request() {
    let fields = simple();
    let policy = verify(&fields, NOW).unwrap();
    let refusal = policy.check_fields(&fields, "another").err();
    assert_eq!(refusal, Some(FormError::ConditionFailed(format!(r#"["eq", "$bucket", "{BUCKET}"]"#))));
    let mut lying = simple();
    set(&mut lying, "bucket", BUCKET);
    let refusal = policy.check_fields(&lying, "another").err();
    assert_eq!(refusal, Some(FormError::ConditionFailed(format!(r#"["eq", "$bucket", "{BUCKET}"]"#))));
}

#[test]
fn a_field_that_may_have_any_value_may_be_missing() {
    let conditions = |prefix: &str| [json!({"bucket": BUCKET}), json!({"key": "a"}), json!(["starts-with", "$tagging", prefix])];
    check(&form(&conditions(""), &[("key", "a")])).unwrap();
    assert!(matches!(check(&form(&conditions("<"), &[("key", "a")])).err(), Some(FormError::ConditionFailed(_))));
}

#[test]
fn an_expiration_is_a_date_of_iso_8601() {
    let of = |expiration: &str| {
        let policy = json!({"expiration": expiration, "conditions": [{"bucket": BUCKET}]}).to_string();
        verify(&signed(&policy, &[]), NOW).map(|policy| policy.expiration())
    };
    assert_eq!(of("2015-12-30T12:00:00.000Z").unwrap(), datetime!(2015-12-30 12:00:00 UTC));
    assert_eq!(of("2015-12-30T12:00:00+02:00").unwrap(), datetime!(2015-12-30 10:00:00 UTC));
    for wrong in ["2015-12-30 12:00:00Z", "2015-12-30", "tomorrow", ""] {
        assert!(matches!(of(wrong), Err(FormError::InvalidPolicy(_))), "{wrong}");
    }
}

#[test]
fn all_length_ranges_count() {
    let bucket = json!({"bucket": BUCKET});
    let fields = form(&[bucket.clone(), json!(["content-length-range", 10, 100]), json!(["content-length-range", "20", 200])], &[]);
    let policy = check(&fields).unwrap();
    assert_eq!(policy.length_range(), 20..=100);
    assert_eq!(policy.check_length(19), Err(FormError::TooSmall));
    assert_eq!((policy.check_length(20), policy.check_length(100)), (Ok(()), Ok(())));
    assert_eq!(policy.check_length(101), Err(FormError::TooLarge));
    let never = check(&form(&[bucket, json!(["content-length-range", 10, 5])], &[])).unwrap();
    assert!((0..20).all(|len_bytes| never.check_length(len_bytes).is_err()));
}

#[test]
fn a_policy_that_names_no_bucket_is_good_for_none() {
    assert_eq!(check(&form(&[json!({"key": "a"})], &[("key", "a")])).err(), Some(FormError::ExtraField("bucket".to_owned())));
    check(&form(&[json!({"key": "a"}), json!(["starts-with", "$bucket", ""])], &[("key", "a")])).unwrap();
}

/// A form of the year 2006. The signature is that of botocore's `HmacV1PostAuth`.
fn version_two() -> Fields {
    let policy = json!({"expiration": "2015-12-30T12:00:00.000Z", "conditions": [{"bucket": BUCKET}, {"key": "a"}]}).to_string();
    let policy = STANDARD.encode(policy);
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&key, policy.as_bytes()));
    let fields = [("AWSAccessKeyId", ACCESS_KEY), ("Policy", &policy), ("Signature", &signature), ("key", "a")];
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_signature_of_version_two_holds_where_it_is_taken_and_nowhere_else() {
    let fields = version_two();
    assert_eq!(FormClaim::read(&fields, false).err(), Some(FormError::Signature(SignatureError::VersionTwo)));
    let accept = |fields: &Fields, secret: &str, now: OffsetDateTime| {
        let policy = FormClaim::read(fields, true)?.unwrap().verify(secret, now, &Rules::S3)?;
        policy.check_fields(fields, BUCKET).map(|()| policy.access_key().to_owned())
    };
    assert_eq!(accept(&fields, SECRET, NOW).unwrap(), ACCESS_KEY);
    assert_eq!(accept(&fields, "another secret", NOW).err(), Some(FormError::Signature(SignatureError::Mismatch)));
    assert_eq!(accept(&fields, SECRET, NOW + Duration::days(2)).err(), Some(FormError::Expired));
    let mut other = fields.clone();
    set(&mut other, "key", "b");
    assert!(matches!(accept(&other, SECRET, NOW).err(), Some(FormError::ConditionFailed(_))));
    for (name, value) in [("Signature", ""), ("Signature", "no base64!"), ("Signature", "AAAA")] {
        let mut wrong = fields.clone();
        set(&mut wrong, name, value);
        assert_eq!(accept(&wrong, SECRET, NOW).err(), Some(FormError::Signature(SignatureError::Mismatch)), "{value}");
    }
    let mut both = fields.clone();
    set(&mut both, "X-Amz-Signature", "0");
    assert!(matches!(accept(&both, SECRET, NOW).err(), Some(FormError::FieldInvalid("signature", _))));
    for missing in ["AWSAccessKeyId", "Policy", "Signature"] {
        let fields: Fields = fields.iter().filter(|(name, _)| name != missing).cloned().collect();
        assert!(matches!(accept(&fields, SECRET, NOW).err(), Some(FormError::FieldMissing(_))), "{missing}");
    }
}

#[test]
fn each_error_has_its_code_and_status() {
    let rows = [
        (FormError::FieldMissing("policy"), "InvalidArgument", 400),
        (FormError::FieldRepeated("key".to_owned()), "InvalidArgument", 400),
        (FormError::FieldInvalid("policy", ""), "InvalidArgument", 400),
        (FormError::Signature(SignatureError::Mismatch), "SignatureDoesNotMatch", 403),
        (FormError::InvalidPolicy(""), "InvalidPolicyDocument", 400),
        (FormError::Expired, "AccessDenied", 403),
        (FormError::ConditionFailed(String::new()), "AccessDenied", 403),
        (FormError::ExtraField(String::new()), "AccessDenied", 403),
        (FormError::TooLarge, "EntityTooLarge", 400),
        (FormError::TooSmall, "EntityTooSmall", 400),
    ];
    for (error, code, status) in rows {
        assert_eq!((error.code(), error.status().as_u16()), (code, status), "{error}");
    }
}
