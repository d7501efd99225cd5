//! Answers, read up to a bound and into buffers that are wiped.

use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke.
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
    /// It is longer than it can be.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The bound in bytes.
        limit: usize,
    },
    /// It is no JSON of the expected shape. What it is is not told: it may hold a secret.
    #[error("the answer is not what was expected (line {line}, column {column})")]
    Malformed {
        /// Where the parser stopped.
        line: usize,
        /// Where the parser stopped.
        column: usize,
    },
}

/// The whole body, of up to `limit` bytes.
pub async fn read_bounded(mut response: reqwest::Response, limit: usize) -> Result<Zeroizing<Vec<u8>>, BodyError> {
    // Reserved once, so that growing leaves no copy behind unwiped.
    let announced = response.content_length().and_then(|len| usize::try_from(len).ok()).unwrap_or(limit);
    if response.content_length().is_some() && announced > limit {
        return Err(BodyError::TooLong { limit });
    }
    let mut body = Zeroizing::new(Vec::with_capacity(announced.min(limit)));
    while let Some(chunk) = response.chunk().await.map_err(|error| BodyError::Broken(error.without_url()))? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The body as JSON, of up to `limit` bytes.
pub async fn read_json<T: DeserializeOwned>(response: reqwest::Response, limit: usize) -> Result<T, BodyError> {
    let body = read_bounded(response, limit).await?;
    serde_json::from_slice(&body).map_err(|error| BodyError::Malformed { line: error.line(), column: error.column() })
}
