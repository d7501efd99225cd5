//! The gate: who signed a request. Nothing of its body is read before this is known.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header, request::Parts};
use hyper::body::Body as _;
use strongroom_access::{Identity, IdentityError, IdentitySource};
use strongroom_engine::budget::Budget;
use strongroom_iam::Service;
use strongroom_sigv4::{
    BodyDecoder, Claim, Head, Lengths, Payload, Placements, Regions, Rules, Scope, SignatureError, announced_trailers,
    post_policy::{FormClaim, FormError, VerifiedPolicy},
    version_two::UrlClaim,
};
use time::OffsetDateTime;

use crate::{
    body::{Decoded, RawBody, collect},
    form::Fields,
    headers,
    refusal::Refusal,
    signing::Signing,
};

/// What administration answers to a request without a signature.
const UNSIGNED: &str = "The request must be signed: AWS Signature Version 4 in the header Authorization.";

/// Verifies requests.
pub(crate) struct Gate {
    identities: Arc<dyn IdentitySource>,
    anonymous: Arc<Identity>,
    region: String,
}

/// What is taken of a call without a signature, which carries the token of an identity provider.
const MAX_UNSIGNED_CALL_BYTES: usize = 64 << 10;
/// A longer one is none that anybody would want to be told of.
const MAX_NOTED_REGION_BYTES: usize = 64;
/// For calls of IAM and STS, which are of no region.
const CALL_RULES: Rules = Rules { services: &["iam", "sts"], regions: Regions::Any, placements: Placements::Header, ..Rules::S3 };

/// Where a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// S3: signatures in headers and presigned URLs, for any region that has a name.
    S3,
    /// Administration: signatures in headers only, which cover path, query and body. A presigned URL can be handed on, and a form's
    /// policy covers no request at all. mc signs for a region without a name.
    Admin,
}

impl Door {
    fn rules(self) -> Rules {
        match self {
            Self::S3 => Rules::S3,
            Self::Admin => Rules { regions: Regions::Any, placements: Placements::Header, ..Rules::S3 },
        }
    }
}

/// A request whose signature was verified: whose it is, and what was signed of its body.
pub(crate) struct Admitted {
    pub(crate) identity: Arc<Identity>,
    /// Whether no byte of its body can be altered on the way without notice.
    pub(crate) covers_body: bool,
    /// What policies see of the signature.
    pub(crate) signing: Signing,
    payload: Payload,
}

/// A call of IAM or STS: whose it is, for which service it was signed, and its body.
pub(crate) struct Called {
    pub(crate) identity: Arc<Identity>,
    pub(crate) service: Option<Service>,
    pub(crate) body: Bytes,
}

impl Gate {
    /// For requests of these identities. The region is what those are told whose signature names none.
    pub(crate) fn new(identities: Arc<dyn IdentitySource>, region: &str) -> Self {
        Self { identities, anonymous: Arc::new(Identity::anonymous()), region: region.to_owned() }
    }

    /// Whose request it is. One without a signature is nobody's: it may do what a bucket's policy opens to everybody. Administration refuses
    /// it.
    pub(crate) async fn admit(&self, parts: &Parts, door: Door) -> Result<Admitted, Refusal> {
        if door == Door::Admin && !parts.headers.contains_key(header::AUTHORIZATION) {
            return Err(Refusal::AccessDenied(UNSIGNED.to_owned()));
        }
        let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
        let Some(claim) = Claim::read(&head)? else { return self.admit_anonymous(door) };
        let (now, rules) = (OffsetDateTime::now_utc(), door.rules());
        claim.check(&head, now, &rules).map_err(|error| self.refuse(error))?;
        let secret = self.identities.secret(claim.access_key(), claim.security_token()).await.map_err(unidentified)?;
        let declared = headers::value(&parts.headers, "x-amz-content-sha256")?;
        let signing = Signing::of_claim(&claim, now, declared.as_deref());
        let verified = claim.verify(&head, secret.expose(), now, &rules).map_err(|error| self.refuse(error))?;
        let identity = self.identify(verified.access_key(), verified.security_token()).await?;
        self.note_use(&identity, verified.scope());
        Ok(Admitted { identity, covers_body: verified.covers_body(), signing, payload: verified.into_payload() })
    }

    /// Whose URL it is where it is one of Signature Version 2 that reads; None where it is not, and [`Gate::admit`] decides. The host may name
    /// the bucket, which is signed. Administration never asks this.
    pub(crate) async fn admit_url_of_version_two(&self, parts: &Parts, bucket_of_host: Option<&str>) -> Result<Option<Admitted>, Refusal> {
        let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
        let Some(claim) = UrlClaim::read(&head)? else { return Ok(None) };
        let (now, rules) = (OffsetDateTime::now_utc(), Door::S3.rules());
        claim.check(&head, now, &rules)?;
        // Its signature does not cover a token.
        if claim.has_security_token() {
            return Err(Refusal::InvalidToken);
        }
        let access_key = claim.access_key().to_owned();
        let secret = self.identities.secret(&access_key, None).await.map_err(unidentified)?;
        claim.verify(&head, bucket_of_host, secret.expose(), now, &rules)?;
        let identity = self.identify(&access_key, None).await?;
        let signing = Signing::of_url_of_version_two();
        Ok(Some(Admitted { identity, covers_body: false, signing, payload: Payload::Unsigned }))
    }

    fn admit_anonymous(&self, door: Door) -> Result<Admitted, Refusal> {
        if door == Door::Admin {
            return Err(Refusal::AccessDenied(UNSIGNED.to_owned()));
        }
        let signing = Signing::default();
        Ok(Admitted { identity: Arc::clone(&self.anonymous), covers_body: false, signing, payload: Payload::Unsigned })
    }

    /// Whose policy a form carries. A form without one is nobody's.
    pub(crate) async fn admit_form(
        &self,
        fields: &Fields,
        takes_version_two: bool,
    ) -> Result<(Arc<Identity>, Option<VerifiedPolicy>), Refusal> {
        let Some(claim) = FormClaim::read(fields, takes_version_two)? else { return Ok((Arc::clone(&self.anonymous), None)) };
        let (access_key, token) = (claim.access_key().to_owned(), claim.security_token().map(str::to_owned));
        let secret = self.identities.secret(&access_key, token.as_deref()).await.map_err(unidentified)?;
        match claim.verify(secret.expose(), OffsetDateTime::now_utc(), &Door::S3.rules()) {
            Ok(policy) => Ok((self.identify(&access_key, token.as_deref()).await?, Some(policy))),
            Err(FormError::Signature(error)) => Err(self.refuse(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whose call of IAM or STS it is, and its body: clients sign these without saying what is in it, so the body is read first, from whoever
    /// names an access key that there is. One without a signature is nobody's, and its body is short.
    pub(crate) async fn admit_call(&self, parts: &Parts, raw: RawBody, max_bytes: usize, budget: &Budget) -> Result<Called, Refusal> {
        let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
        let Some(claim) = Claim::read(&head)? else {
            let body = collect(unsigned(&parts.headers, raw)?, MAX_UNSIGNED_CALL_BYTES.min(max_bytes), budget).await?;
            return Ok(Called { identity: Arc::clone(&self.anonymous), service: None, body });
        };
        let now = OffsetDateTime::now_utc();
        claim.check(&head, now, &CALL_RULES).map_err(|error| self.refuse(error))?;
        let secret = self.identities.secret(claim.access_key(), claim.security_token()).await.map_err(unidentified)?;
        // Where the head says what is in the body, it is read for nobody whose signature is wrong.
        if !claim.needs_body()
            && let Some(of_head) = Claim::read(&head)?
        {
            of_head.verify(&head, secret.expose(), now, &CALL_RULES).map_err(|error| self.refuse(error))?;
        }
        let body = collect(unsigned(&parts.headers, raw)?, max_bytes, budget).await?;
        let verified = claim.verify_with_body(&head, secret.expose(), OffsetDateTime::now_utc(), &CALL_RULES, &body);
        let verified = verified.map_err(|error| self.refuse(error))?;
        if !verified.covers_body() {
            return Err(Refusal::InvalidRequest("The signature must cover the body.".to_owned()));
        }
        let identity = self.identify(verified.access_key(), verified.security_token()).await?;
        self.note_use(&identity, verified.scope());
        let service = if verified.scope().service() == Service::Sts.name() { Service::Sts } else { Service::Iam };
        Ok(Called { identity, service: Some(service), body })
    }

    /// Who it is whose signature was verified.
    async fn identify(&self, access_key: &str, token: Option<&str>) -> Result<Arc<Identity>, Refusal> {
        self.identities.by_access_key(access_key, token).await.map_err(unidentified)
    }

    fn note_use(&self, identity: &Identity, scope: &Scope) {
        // Nobody is told when temporary credentials were used last.
        if !identity.is_temporary() && scope.region().len() <= MAX_NOTED_REGION_BYTES {
            self.identities.note_use(&identity.access_key, scope.service(), scope.region());
        }
    }

    fn refuse(&self, error: SignatureError) -> Refusal {
        match error {
            // Clients that are set up for another region read the right one here, and sign again.
            SignatureError::WrongRegion { .. } => Refusal::WrongRegion { expected: self.region.clone() },
            error => error.into(),
        }
    }
}

/// A body of which nothing was said.
fn unsigned(map: &HeaderMap, raw: RawBody) -> Result<Decoded, Refusal> {
    let lengths = Lengths::read(map)?;
    let announced = lengths.encoded.or(raw.size_hint().exact());
    Ok(Decoded::new(raw, BodyDecoder::new(Payload::Unsigned, lengths, announced_trailers(map)?)?, announced))
}

fn unidentified(error: IdentityError) -> Refusal {
    match error {
        IdentityError::UnknownAccessKey => Refusal::InvalidAccessKeyId,
        IdentityError::InvalidToken => Refusal::InvalidToken,
        IdentityError::ExpiredToken => Refusal::ExpiredToken,
        error => Refusal::Engine(error.into()),
    }
}

impl Admitted {
    /// The body as its signer meant it, or as an anonymous request declares it.
    pub(crate) fn decode(self, map: &HeaderMap, raw: RawBody) -> Result<Decoded, Refusal> {
        let payload = if self.identity.is_anonymous() { Payload::of_unsigned(map)? } else { self.payload };
        let lengths = Lengths::read(map)?;
        let announced =
            if matches!(payload, Payload::Streaming(_)) { lengths.decoded } else { lengths.encoded.or(raw.size_hint().exact()) };
        let decoder = BodyDecoder::new(payload, lengths, announced_trailers(map)?)?;
        Ok(Decoded::new(raw, decoder, announced))
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "gate_url_tests.rs"]
mod url_tests;
