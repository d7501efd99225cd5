//! The operations, and which of them a request means.
//!
//! Everything that is known of an operation stands in its row of [`table`]: how a request names it, which rights it takes, what its
//! conditions look at, and what runs it. Resolution, authorization, the access log and `docs/s3-operations.md` follow from the rows.

mod subresources;
mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::{fmt, future::Future, pin::Pin};

use http::Method;
use strongroom_access::Action;

use crate::{api::Api, query::Query, refusal::Refusal, reply::Reply, request::Request};

use subresources::{OF_BUCKET, OF_OBJECT};
use table::OPERATIONS;

/// One operation of S3.
pub(crate) struct Operation {
    /// S3's name for it.
    pub(crate) name: &'static str,
    method: &'static str,
    on: Resource,
    /// The query parameter that names a part of the resource, such as `acl`.
    subresource: Option<&'static str>,
    /// What else must hold for a request to mean this row. Rows with conditions stand before those without.
    when: &'static [When],
    /// Whether `versionId` may name a version. Other operations on objects must not seem to have touched one.
    takes_version: bool,
    /// Whether it reads a body: what a client sends with the others is not looked at.
    pub(crate) takes_body: bool,
    /// What the caller must be allowed to do. None where the operation asks for each key by itself.
    pub(crate) rights: &'static [Right],
    /// What the caller must be allowed to do besides where the request has certain headers.
    pub(crate) header_rights: &'static [HeaderRight],
    /// Where the values of condition keys come from.
    pub(crate) facts: Facts,
    /// Whether `If-Match` compares the target's ETag, which tells of it: the right to read it is needed too.
    pub(crate) compares_etag: bool,
    /// Who looks at `x-amz-expected-bucket-owner`.
    pub(crate) owner_check: OwnerCheck,
    /// What it may take to build its reply, in bytes; 0 where that is little. It is held of the memory budget until the client has the reply.
    pub(crate) reply_bytes: usize,
    handler: Handler,
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    /// `/`
    Service,
    /// `/bucket`
    Bucket,
    /// `/bucket/key`
    Object,
}

/// What tells two operations of one method and subresource apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// The query has the parameter.
    Has(&'static str),
    /// The query has the parameter with this value.
    Is(&'static str, &'static str),
    /// There is a header `x-amz-copy-source`.
    Copies,
    /// Whatever other parameters there are.
    Always,
    /// It is a form, which is told by its body: no other request means the row.
    Form,
}

/// An action that the caller needs, and what it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) action: Action,
    /// The action where a version is named.
    pub(crate) of_version: Action,
    pub(crate) on: Target,
}

/// A header, and the action that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderRight {
    pub(crate) name: &'static str,
    /// Whether it asks for nothing where it says "false".
    pub(crate) is_flag: bool,
    pub(crate) right: Right,
}

/// What a right is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// All buckets.
    Buckets,
    /// The bucket of the path.
    Bucket,
    /// The object of the path.
    Object,
    /// The object that `x-amz-copy-source` names.
    CopySource,
}

/// Where the values of condition keys come from. Which of them count for an action is the action's own matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Facts {
    /// The request's headers.
    Headers,
    /// Its headers, and the parameters of a listing.
    Listing,
    /// The upload that it belongs to: parts and completions are encrypted as their upload is.
    Upload,
}

/// Who looks at `x-amz-expected-bucket-owner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnerCheck {
    /// It is checked before the operation runs.
    Before,
    /// The engine checks it with the bucket that it finds, so that no other can take its place in between.
    Inside,
    /// There is no bucket yet, or not one.
    Never,
}

type Handler = for<'a> fn(&'a Api, Request) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>>;

impl Operation {
    /// Runs it. The caller is authorized.
    pub(crate) async fn run(&self, api: &Api, request: Request) -> Result<Reply, Refusal> {
        (self.handler)(api, request).await
    }

    /// Whether policies may look at headers or parameters of it, besides what they see of every request.
    pub(crate) fn looks_at_headers(&self) -> bool {
        self.facts != Facts::Headers || self.rights.iter().any(|right| !right.action.condition_keys().is_empty())
    }

    /// Whether an object comes of it. Beginning and filling an upload creates none yet.
    pub(crate) fn creates_object(&self) -> bool {
        let fills_upload = ["CreateMultipartUpload", "UploadPart", "UploadPartCopy"].contains(&self.name);
        !fills_upload && self.rights.iter().any(|right| right.action == Action::PutObject)
    }

    /// Whether it reads the object that `x-amz-copy-source` names.
    pub(crate) fn copies(&self) -> bool {
        self.rights.iter().any(|right| right.on == Target::CopySource)
    }

    fn is_meant(&self, method: &Method, on: Resource, subresource: Option<&str>, query: &Query, is_copy: bool) -> Result<bool, Refusal> {
        if self.method != method.as_str() || self.on != on || (self.subresource != subresource && !self.when.contains(&When::Always)) {
            return Ok(false);
        }
        for when in self.when {
            let holds = match when {
                When::Has(parameter) => query.has(parameter),
                When::Is(parameter, value) => query.get(parameter)? == Some(value),
                When::Copies => is_copy,
                When::Always => true,
                When::Form => false,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// POST Object.
pub(crate) fn post_object() -> &'static Operation {
    &table::POST_OBJECT
}

/// The operation that method, resource and parameters mean. What S3 has and this store has not is [`Refusal::NotImplemented`].
pub(crate) fn resolve(method: &Method, bucket: &str, key: &str, query: &Query, is_copy: bool) -> Result<&'static Operation, Refusal> {
    let (on, subresource) = match (bucket.is_empty(), key.is_empty()) {
        (true, _) => (Resource::Service, None),
        (false, true) => (Resource::Bucket, OF_BUCKET.into_iter().find(|name| query.has(name))),
        (false, false) => (Resource::Object, OF_OBJECT.into_iter().find(|name| query.has(name))),
    };
    for operation in OPERATIONS {
        if operation.is_meant(method, on, subresource, query, is_copy)? {
            return if on == Resource::Object && query.has("versionId") && !operation.takes_version {
                Err(Refusal::InvalidArgument(format!("{} does not accept a versionId.", operation.name)))
            } else {
                Ok(operation)
            };
        }
    }
    Err(unknown(method, on, subresource))
}

fn unknown(method: &Method, on: Resource, subresource: Option<&str>) -> Refusal {
    let resource = if on == Resource::Bucket { "a bucket" } else { "an object" };
    match (method, subresource) {
        (&Method::PUT, Some("uploadId")) => Refusal::InvalidArgument("uploadId needs a partNumber here.".to_owned()),
        (method, Some(subresource)) => Refusal::NotImplemented(format!("{method} ?{subresource} of {resource}")),
        (_, None) => Refusal::MethodNotAllowed,
    }
}
