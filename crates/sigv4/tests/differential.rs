//! The same requests to s3s and to this crate. Run with `DIFFERENTIAL=path` it writes the vectors.
#![allow(clippy::unwrap_used, clippy::pedantic)]

mod common;
mod generate;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use common::{ACCESS_KEY, Accepted, Request, SECRET};
use futures_util::StreamExt as _;
use generate::{Case, Generator};
use http::{Extensions, HeaderMap, Method, Uri};
use s3s::{
    Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    auth::{S3Auth, SecretKey},
    config::{S3Config, StaticConfigProvider},
    route::S3Route,
    service::{S3Service, S3ServiceBuilder},
    stream::{aws_chunked_stream::AwsChunkedStreamError, upload_stream::UploadStreamError},
};
use strongroom_sigv4::{Regions, Rules};
use time::OffsetDateTime;

#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<S3Request<Body>>>>);

struct Keep;

#[async_trait]
impl S3Route for Keep {
    fn is_match(&self, _: &Method, _: &Uri, _: &HeaderMap, _: &mut Extensions) -> bool {
        true
    }
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }
    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let slot = request.extensions.remove::<Slot>().unwrap();
        *slot.0.lock().unwrap() = Some(request);
        Ok(S3Response::new(Body::empty()))
    }
}

struct NoOperations;
impl S3 for NoOperations {}

struct Secrets;

#[async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == ACCESS_KEY { Ok(SecretKey::from(SECRET)) } else { Err(S3Error::new(S3ErrorCode::InvalidAccessKeyId)) }
    }
}

fn service() -> S3Service {
    let mut config = S3Config::default();
    config.custom_route_max_body_size = None;
    config.put_object_max_size = None;
    config.sig_v4_allowed_services = vec!["s3".to_owned()];
    let mut builder = S3ServiceBuilder::new(NoOperations);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(Secrets);
    builder.set_route(Keep);
    builder.build()
}

async fn of_s3s(service: &S3Service, request: &Request) -> Result<Accepted, String> {
    let (method, uri, headers) = request.parts().unwrap();
    let mut http = http::Request::new(Body::from(Bytes::from(request.body.clone())));
    (*http.method_mut(), *http.uri_mut(), *http.headers_mut()) = (method, uri, headers);
    let slot = Slot::default();
    http.extensions_mut().insert(slot.clone());
    let response = service.call(http).await;
    let verified = slot.0.lock().unwrap().take();
    match (verified, response) {
        (Some(S3Request { mut input, credentials: Some(_), trailing_headers, .. }), _) => {
            let mut decoded = Vec::new();
            while let Some(piece) = input.next().await {
                match piece {
                    Ok(piece) => decoded.extend_from_slice(&piece),
                    Err(error) => return Err(body_code(&*error)),
                }
            }
            let trailers = trailing_headers.and_then(|handle| handle.take()).unwrap_or_default();
            let trailers: BTreeMap<_, _> =
                trailers.iter().map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned())).collect();
            Ok((decoded, trailers))
        }
        (Some(_), _) => Err("AccessDenied".to_owned()),
        (None, Ok(response)) => {
            let body = response.body().bytes().unwrap_or_default();
            let text = String::from_utf8_lossy(&body).into_owned();
            Err(text
                .split_once("<Code>")
                .and_then(|(_, rest)| rest.split_once("</Code>"))
                .map_or_else(|| text.clone(), |(code, _)| code.to_owned()))
        }
        (None, Err(error)) => Err(format!("{error:?}")),
    }
}

fn body_code(error: &(dyn std::error::Error + 'static)) -> String {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(known) = error.downcast_ref::<UploadStreamError>() {
            match known {
                UploadStreamError::Sha256Mismatch => return "XAmzContentSHA256Mismatch".to_owned(),
                UploadStreamError::LengthMismatch | UploadStreamError::Incomplete => return "IncompleteBody".to_owned(),
                UploadStreamError::Underlying(_) => {}
            }
        }
        if let Some(known) = error.downcast_ref::<AwsChunkedStreamError>() {
            match known {
                AwsChunkedStreamError::Underlying(_) => {}
                AwsChunkedStreamError::SignatureMismatch => return "SignatureDoesNotMatch".to_owned(),
                AwsChunkedStreamError::ChunkDataTooLarge(..) => return "EntityTooLarge".to_owned(),
                _ => return "IncompleteBody".to_owned(),
            }
        }
        next = error.source();
    }
    "IncompleteBody".to_owned()
}

fn of_ours(request: &Request, now: OffsetDateTime) -> Result<Accepted, String> {
    const RULES: Rules = Rules { regions: Regions::Any, ..Rules::S3 };
    request.accept_by(&RULES, SECRET, now, &[usize::MAX]).map_err(|refused| refused.code().to_owned())
}

fn verdict(outcome: &Result<Accepted, String>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err(code) => code.clone(),
    }
}

#[tokio::test]
async fn s3s_and_this_crate_agree_but_where_they_must_not() {
    let service = service();
    let rounds: u64 = std::env::var("ROUNDS").map_or(60, |text| text.parse().unwrap());
    let mut classes: BTreeMap<(String, String, String), (usize, Vec<String>)> = BTreeMap::new();
    let mut lines = Vec::new();
    let mut total = 0;
    for round in 0..rounds {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
        let mut generator = Generator::new(round, now);
        for Case { name, request } in generator.cases() {
            if request.parts().is_none() {
                continue;
            }
            total += 1;
            let (theirs, ours) = (of_s3s(&service, &request).await, of_ours(&request, now));
            if let (Ok(theirs), Ok(ours)) = (&theirs, &ours) {
                assert_eq!(theirs, ours, "{name}");
            }
            let key = (name.clone(), verdict(&theirs), verdict(&ours));
            let (count, samples) = classes.entry(key).or_default();
            *count += 1;
            if *count <= 2 {
                samples.push(format!(
                    "{} {} {:?}",
                    request.method,
                    request.target,
                    request.headers.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v))).collect::<Vec<_>>()
                ));
            }
            if *count == 1 {
                lines.push(generate::line(&name, now, &request, &verdict(&theirs)));
            }
        }
    }
    println!("{total} requests");
    for ((name, theirs, ours), (count, _samples)) in &classes {
        let mark = if theirs == ours { " " } else { "*" };
        println!("{mark} {name:50} {theirs:35} {ours:35} {count}");
    }
    if let Ok(path) = std::env::var("DIFFERENTIAL") {
        std::fs::write(path, lines.concat()).unwrap();
    }
    if let Ok(name) = std::env::var("SHOW") {
        for ((other, theirs, ours), (_, samples)) in &classes {
            if *other == name {
                println!("{theirs} {ours}\n{}", samples.join("\n"));
            }
        }
    }
}
