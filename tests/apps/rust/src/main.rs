//! The AWS SDK for Rust does a day's work; tests/apps/test_sdks.py starts it and looks at what it leaves.

use std::env;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier, ServerSideEncryption,
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

const PART_BYTES: usize = 5 << 20;

struct Day {
    client: Client,
    bucket: String,
    key_id: String,
}

#[tokio::main]
async fn main() {
    let day = Day { client: client(), bucket: variable("DAY_BUCKET"), key_id: variable("DAY_KEY_ID") };
    let (body, large) = (bytes(100_000), bytes(12 << 20));
    day.checksums(&body).await;
    day.uploads(&large).await;
    day.customer_key(&body).await;
    day.conditions().await;
    day.listings().await;
    day.links().await;
}

fn client() -> Client {
    let ca = std::fs::read(variable("AWS_CA_BUNDLE")).expect("the CA is read");
    let tls = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(ca)).build().expect("the CA is taken");
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls).build_https();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(variable("AWS_ENDPOINT_URL"))
        .region(Region::new(variable("AWS_REGION")))
        .credentials_provider(Credentials::new(variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"), None, None, "environment"))
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

impl Day {
    fn put(&self, key: &str, body: &[u8]) -> PutObjectFluentBuilder {
        self.client.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(body.to_vec()))
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        let got = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await
            .expect("the object is there");
        got.body.collect().await.expect("the body arrives").to_vec()
    }

    /// Each algorithm of the SDK, sent with the upload and compared at the download.
    async fn checksums(&self, body: &[u8]) {
        for algorithm in ["", "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] {
            let key = format!("checksums/{algorithm}");
            let chosen = (!algorithm.is_empty()).then(|| ChecksumAlgorithm::from(algorithm));
            self.put(&key, body).set_checksum_algorithm(chosen).metadata("colour", "blue").send().await.expect("it is stored");
            assert!(self.get(&key).await == body);
            let part =
                self.client.get_object().bucket(&self.bucket).key(&key).range("bytes=1000-1999").send().await.expect("a range is sent");
            assert!(part.body.collect().await.expect("the range arrives").to_vec() == body[1000..2000]);
        }
    }

    /// In parts under SSE-KMS, then copied.
    async fn uploads(&self, body: &[u8]) {
        let start = self.client.create_multipart_upload().bucket(&self.bucket).key("large").checksum_algorithm(ChecksumAlgorithm::Crc32C);
        let start =
            start.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(&self.key_id).send().await.expect("an upload begins");
        let upload = start.upload_id().expect("it has an id");
        let mut parts = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(body.chunks(PART_BYTES)) {
            let request = self.client.upload_part().bucket(&self.bucket).key("large").upload_id(upload).part_number(number);
            let stored = request
                .checksum_algorithm(ChecksumAlgorithm::Crc32C)
                .body(ByteStream::from(part.to_vec()))
                .send()
                .await
                .expect("a part is stored");
            let part = CompletedPart::builder().part_number(number).set_e_tag(stored.e_tag).set_checksum_crc32_c(stored.checksum_crc32_c);
            parts = parts.parts(part.build());
        }
        let end =
            self.client.complete_multipart_upload().bucket(&self.bucket).key("large").upload_id(upload).multipart_upload(parts.build());
        end.send().await.expect("the upload ends");
        let copy = self.client.copy_object().bucket(&self.bucket).key("copy").copy_source(format!("{}/large", self.bucket));
        let copied =
            copy.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(&self.key_id).send().await.expect("it is copied");
        assert_eq!(copied.ssekms_key_id(), Some(self.key_id.as_str()));
        assert!(self.get("copy").await == body);
    }

    async fn customer_key(&self, body: &[u8]) {
        // 32 bytes of value 7, and their MD5.
        let (key, md5) = ("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", "y4HAEFCYWuvAXWFTtA1Qpg==");
        let put = self.put("own", body).sse_customer_algorithm("AES256").sse_customer_key(key).sse_customer_key_md5(md5);
        put.send().await.expect("it is stored");
        let get = || self.client.get_object().bucket(&self.bucket).key("own");
        let got =
            get().sse_customer_algorithm("AES256").sse_customer_key(key).sse_customer_key_md5(md5).send().await.expect("the key opens it");
        assert!(got.body.collect().await.expect("the body arrives").to_vec() == body);
        assert_eq!(get().send().await.expect_err("without the key").code(), Some("InvalidRequest"));
    }

    async fn conditions(&self) {
        let first = self.put("once", b"first").if_none_match("*").send().await.expect("it is the first");
        let again = self.put("once", b"second").if_none_match("*").send().await.expect_err("it is there");
        assert_eq!(again.code(), Some("PreconditionFailed"));
        self.put("once", b"second").set_if_match(first.e_tag).send().await.expect("it has not changed");
        let nothing = self.client.get_object().bucket(&self.bucket).key("nothing").send().await.expect_err("there is none");
        assert_eq!(nothing.code(), Some("NoSuchKey"));
    }

    /// Pages, and removal of many at once.
    async fn listings(&self) {
        let many: Vec<_> = (0..120).map(|number| format!("many/{number:03} ä&+")).collect();
        let mut delete = Delete::builder();
        for key in &many {
            self.put(key, b"").send().await.expect("it is stored");
            delete = delete.objects(ObjectIdentifier::builder().key(key).build().expect("it has a key"));
        }
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix("many/").max_keys(50).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            found.extend(page.expect("a page").contents().iter().map(|object| object.key().expect("it has a key").to_owned()));
        }
        assert_eq!(found, many);
        let delete = delete.build().expect("there are objects");
        let deleted = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await.expect("they are removed");
        assert_eq!((deleted.deleted().len(), deleted.errors().len()), (many.len(), 0));
    }

    /// Printed, for others to use.
    async fn links(&self) {
        let hour = PresigningConfig::expires_in(Duration::from_secs(3600)).expect("an hour is allowed");
        let get = self.client.get_object().bucket(&self.bucket).key("once").presigned(hour.clone()).await.expect("it is signed");
        let put = self.client.put_object().bucket(&self.bucket).key("by link").presigned(hour).await.expect("it is signed");
        println!(r#"{{"get": "{}", "put": "{}"}}"#, get.uri(), put.uri());
    }
}

/// Bytes that do not repeat soon.
fn bytes(length: usize) -> Vec<u8> {
    let next = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8)
    };
    std::iter::repeat(()).scan(1, |state, ()| next(state)).take(length).collect()
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}
