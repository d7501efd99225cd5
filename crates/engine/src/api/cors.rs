//! Which pages of other origins a bucket lets in (S3 CORS).

use serde::{Deserialize, Serialize};

/// One rule of a bucket, as PutBucketCors gives it. The adapter has checked it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CorsRule {
    /// `ID`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `AllowedOrigin`: at most one `*` in each.
    pub origins: Vec<String>,
    /// `AllowedMethod`
    pub methods: Vec<String>,
    /// `AllowedHeader`: at most one `*` in each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// `ExposeHeader`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<String>,
    /// `MaxAgeSeconds`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<u32>,
}
