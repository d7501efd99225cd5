//! UpdateObjectEncryption. Source of the shape and the sentences: Amazon's API reference, as its SDKs carry it.

use strongroom_engine::{Error, api::UpdateObjectEncryption};
use strongroom_kms::resolve_key_id;

use crate::{
    api::Api,
    authorize::hide_missing,
    refusal::Refusal,
    reply::Reply,
    request::Request,
    xml::{Element, read},
};

/// What the body may name.
#[derive(Default)]
pub(crate) struct ObjectEncryption {
    sse_kms: Option<SseKms>,
    /// `SSE-S3`, `DSSE-KMS` and the like.
    names_other: bool,
}

#[derive(Default)]
struct SseKms {
    key_arn: Option<String>,
    bucket_key_enabled: Option<String>,
}

pub(crate) async fn update(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    let wanted = wanted(&request.take_xml(api.options.max_xml_bytes, api.engine.budget()).await?)?;
    let (kms_key_id, bucket_key_enabled) = checked(wanted)?;
    let update = UpdateObjectEncryption {
        bucket: request.bucket.clone(),
        key: request.key.clone(),
        version_id: request.version_id()?,
        kms_key_id,
        bucket_key_enabled,
    };
    let updated = api.engine.update_object_encryption(&request.caller, update).await;
    updated.map_err(|error| hide_missing(&request, &request.bucket, error))?;
    Ok(Reply::ok())
}

/// The key's ARN as it was given, and whether to use a bucket key.
fn checked(wanted: ObjectEncryption) -> Result<(String, bool), Refusal> {
    let (SseKms { key_arn, bucket_key_enabled }, false) = (wanted.sse_kms.unwrap_or_default(), wanted.names_other) else {
        return refused(
            "Requests that modify an object encryption configuration require a valid new encryption type. Valid values are SSEKMS. \
             Modify the request to specify SSE-KMS for the updated encryption type, and then try again.",
        );
    };
    let Some(key_arn) = key_arn else {
        return refused(
            "Requests that modify an object's encryption type to SSE-KMS require an Amazon Web Services KMS key Amazon Resource Name (ARN). \
             Modify the request to specify a KMS key ARN, and then try again.",
        );
    };
    if !is_key_arn(&key_arn) {
        return refused(
            "Requests that modify an object's encryption type to SSE-KMS require a valid Amazon Web Services KMS key Amazon Resource Name \
             (ARN). Confirm that you have a correctly formatted KMS key ARN in your request, and then try again.",
        );
    }
    match bucket_key_enabled.as_deref() {
        None | Some("false") => Ok((key_arn, false)),
        Some("true") => Ok((key_arn, true)),
        Some(_) => refused(
            "The BucketKeyEnabled value isn't valid. Valid values are true or false. Modify the request to specify a valid value, and then \
             try again.",
        ),
    }
}

fn refused<T>(message: &str) -> Result<T, Refusal> {
    Err(Refusal::Engine(Error::InvalidRequest(message.to_owned())))
}

/// An id alone, and an alias, are not taken here. Partition, region and account are nobody's business in this store.
fn is_key_arn(given: &str) -> bool {
    given.starts_with("arn:") && given.contains(":key/") && resolve_key_id(given).is_ok()
}

/// What the document names. What it does not name is no valid type either.
pub(crate) fn wanted(body: &[u8]) -> Result<ObjectEncryption, Refusal> {
    read(body, "ObjectEncryption", |root| {
        let mut wanted = ObjectEncryption::default();
        root.children(|name, element| {
            if name == "SSE-KMS" && wanted.sse_kms.is_none() {
                wanted.sse_kms = Some(sse_kms(element)?);
            } else {
                wanted.names_other = true;
            }
            Ok(())
        })?;
        wanted.names_other |= wanted.sse_kms.is_none();
        Ok(wanted)
    })
}

fn sse_kms(element: &mut Element<'_, '_>) -> Result<SseKms, Refusal> {
    let mut kms = SseKms::default();
    element.children(|name, element| match name {
        "KMSKeyArn" => element.text_into(&mut kms.key_arn),
        "BucketKeyEnabled" => element.text_into(&mut kms.bucket_key_enabled),
        _ => Ok(()),
    })?;
    Ok(kms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ARN: &str = "arn:aws:kms:eu-central-1:111122223333:key/alpha";

    fn read(content: &str) -> Result<(String, bool), Refusal> {
        let body = format!("<ObjectEncryption xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{content}</ObjectEncryption>");
        checked(wanted(body.as_bytes())?)
    }

    fn kms(key: &str, rest: &str) -> String {
        format!("<SSE-KMS><KMSKeyArn>{key}</KMSKeyArn>{rest}</SSE-KMS>")
    }

    #[test]
    fn a_key_and_the_use_of_a_bucket_key_are_read() {
        assert_eq!(read(&kms(ARN, "")).unwrap(), (ARN.to_owned(), false));
        assert_eq!(read(&kms(ARN, "<BucketKeyEnabled>true</BucketKeyEnabled>")).unwrap(), (ARN.to_owned(), true));
        assert_eq!(read(&kms(ARN, "<BucketKeyEnabled>false</BucketKeyEnabled>")).unwrap(), (ARN.to_owned(), false));
    }

    #[test]
    fn each_mistake_has_amazons_sentence() {
        for (content, says) in [
            (String::new(), "a valid new encryption type"),
            ("<SSE-S3/>".to_owned(), "a valid new encryption type"),
            (format!("<DSSE-KMS><KMSKeyArn>{ARN}</KMSKeyArn></DSSE-KMS>"), "a valid new encryption type"),
            (format!("{}<SSE-S3/>", kms(ARN, "")), "a valid new encryption type"),
            ("<SSE-KMS/>".to_owned(), "require an Amazon Web Services KMS key"),
            (kms("alpha", ""), "require a valid Amazon Web Services KMS key"),
            (kms("arn:aws:kms:eu:1:alias/alpha", ""), "require a valid Amazon Web Services KMS key"),
            (kms(ARN, "<BucketKeyEnabled>yes</BucketKeyEnabled>"), "BucketKeyEnabled value isn't valid"),
        ] {
            let refusal = read(&content).unwrap_err();
            assert_eq!(refusal.verdict(crate::ErrorDialect::Strongroom).code, "InvalidRequest", "{content}");
            assert!(refusal.message().contains(says), "{content}: {}", refusal.message());
        }
        let nested = format!("<ObjectEncryption>{}", "<a>".repeat(16_000));
        for body in ["", "<Other/>", "<ObjectEncryption>", &nested] {
            assert!(matches!(wanted(body.as_bytes()), Err(Refusal::MalformedXml)), "{body}");
        }
    }
}
