//! POST Object: an upload by a browser's form. Its signature stands in the form's own fields, and covers a policy: what may be uploaded with it.
//!
//! ```text
//! hyper ─▶ multipart (fields, bounded; then the file, streamed) ─▶ the policy's signature ─▶ its conditions ─▶ as PutObject
//! ```
//!
//! Nothing of the file is looked at before the policy's signature holds and its conditions do. The fields before it have to be, since the signature is
//! one of them: 64 KiB at the most, held of the memory budget as they come, and within the time that a client may be silent.

mod answer;
mod fields;
mod multipart;
#[cfg(test)]
mod tests;

use http::request::Parts;
use strongroom_engine::{
    Error,
    api::{BodyError, Caller, Seen},
};
use strongroom_fair::Tenant;
use strongroom_sigv4::post_policy::FormError;

pub(crate) use answer::Answer;
pub(crate) use fields::Fields;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use multipart::Preamble;
pub(crate) use multipart::{FilePart, PostError};

use crate::{
    authorize::{admit_anonymous, authorize},
    body::RawBody,
    names,
    operation::post_object,
    ops,
    options::ConnectionInfo,
    query::Query,
    refusal::Refusal,
    reply::Reply,
    request::{Access, Request},
    service::{Findings, Inner, circumstances, source_ip, takes_uncovered_body},
    signing::Signing,
};

/// No signature covers the file of a form.
const UNCOVERED_FORM: &str = "A form must come over TLS, since nothing in it covers the file. Use https.";

/// The file of a form, and how its upload is answered.
pub(crate) struct Form {
    pub(crate) file: FilePart,
    pub(crate) answer: Answer,
}

impl Inner {
    /// Answers an upload by a form.
    pub(crate) async fn answer_form(
        &self,
        parts: Parts,
        body: RawBody,
        connection: ConnectionInfo,
        request_id: &str,
        findings: &mut Findings,
    ) -> Result<Reply, Refusal> {
        let (secure, sse_c_allowed) = self.security(&parts.headers, connection);
        if !takes_uncovered_body(secure, connection, &self.api.options) {
            return Err(Refusal::InvalidRequest(UNCOVERED_FORM.to_owned()));
        }
        let boundary = multipart::boundary(&parts.headers)?;
        // Nobody knows yet who asks, so the fields have as long as a client may be silent, and no longer.
        let opened = tokio::time::timeout(self.api.options.body_idle_timeout, multipart::open(body, &boundary, self.api.engine.budget()));
        let (fields, mut file) = opened.await.map_err(|_| Refusal::Engine(Error::Body(BodyError::Timeout)))??;
        let (identity, policy) = self.gate.admit_form(&fields, self.api.options.signature_v2.forms).await?;
        findings.identity.clone_from(&identity.name);
        let mut signing = Signing::default();
        if let Some(policy) = policy {
            signing = Signing::of_form(fields.get("x-amz-algorithm").is_none());
            Tenant::named(&findings.identity).take_over();
            policy.check_fields(&fields, &findings.bucket)?;
            file.keep_to(policy.length_range());
        } else {
            admit_anonymous(&self.api.engine, &findings.bucket).await?;
        }
        findings.slot = self.bounds.begin(&identity)?;
        let file = file.throttled(findings.slot.as_ref());

        let key = fields.get("key").filter(|key| !key.is_empty()).ok_or(FormError::FieldMissing("key"))?.to_owned();
        if key.len() > names::MAX_KEY_LEN_BYTES {
            return Err(Error::KeyTooLong.into());
        }
        findings.key.clone_from(&key);
        let operation = post_object();
        findings.operation = Some(operation);
        let caller = Caller {
            identity,
            secure,
            sse_c_allowed,
            expected_owner: None,
            seen: Seen::default(),
            request_id: request_id.to_owned(),
            peer: source_ip(&parts.headers, connection, &self.api.options),
            operation: operation.name,
        };
        let answer = Answer::of(&fields, secure, &parts, self.host_bucket(&parts.uri, &parts.headers)?.is_some(), &findings.bucket)?;
        let access = Access::new(signing.in_conditions(circumstances(&parts.headers, caller.secure, caller.peer, connection)));
        let mut request = Request {
            bucket: findings.bucket.clone(),
            key,
            query: Query::parse("")?,
            headers: fields.headers()?,
            body: None,
            form: Some(Form { file, answer }),
            caller,
            access,
        };
        authorize(&self.api.engine, operation, &mut request).await?;
        ops::run(&self.api, operation, request).await
    }
}
