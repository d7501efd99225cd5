//! From a verified request to its answer: what every endpoint has in common.

mod answer;
mod call;
mod endpoint;
mod error;
mod input;
mod permit;

pub(crate) use answer::{Answer, json_bytes};
pub(crate) use call::{Call, Received, no_such_backend};
pub(crate) use endpoint::{
    Accepted, Documents, Done, Effect, Endpoint, MAX_BODY_BYTES, NoContent, Reply, Shape, Yaml, endpoint, of_identities,
};
pub(crate) use error::{ApiError, ErrorBody};
pub(crate) use input::{About, Empty, Input, Json, JsonOrQuery, KeyPath, Path, Query, Raw, Subject, from_json, refuse_query};
pub(crate) use permit::is_of_a_key;
