//! The head of a request, and what a server accepts of it.

use http::{HeaderMap, Method, Uri};
use time::Duration;

/// The head of a request as it was received.
#[derive(Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query, not decoded.
    pub uri: &'a Uri,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// Where a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the header `Authorization`.
    Header,
    /// In the query: a presigned URL.
    Query,
}

/// Where a signature may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placements {
    /// In the header `Authorization` only.
    Header,
    /// Presigned URLs too.
    HeaderOrQuery,
}

/// Which regions a request may be signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regions {
    /// Any that can be the name of one: lower-case letters, digits and hyphens.
    Named,
    /// Any at all, that without a name too.
    Any,
}

/// What a server accepts.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The services a request may be signed for.
    pub services: &'static [&'static str],
    /// The regions.
    pub regions: Regions,
    /// Where the signature may stand.
    pub placements: Placements,
    /// How far the client's clock may be from ours.
    pub max_skew: Duration,
    /// The longest life of a presigned URL.
    pub max_presigned: Duration,
}

impl Rules {
    /// Amazon's, for S3.
    pub const S3: Self = Self {
        services: &["s3"],
        regions: Regions::Named,
        placements: Placements::HeaderOrQuery,
        max_skew: Duration::minutes(15),
        max_presigned: Duration::days(7),
    };
}

pub(crate) fn is_region_name(region: &str) -> bool {
    !region.is_empty() && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
