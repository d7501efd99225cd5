//! The joint between the S3 side, which verifies signatures, and administration, which does not know of it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use strongroom_admin::Admin;
use strongroom_s3::{AdminBody, AdminHandler, ResponseCut, Signer};

/// Hands verified requests to [`Admin`].
pub(crate) struct AdminApi(pub(crate) Arc<Admin>);

#[async_trait]
impl AdminHandler for AdminApi {
    fn max_body_bytes(&self, method: &Method, path: &str) -> usize {
        self.0.max_body_bytes(method, path)
    }

    async fn handle(&self, request: Request<Bytes>, signer: Signer) -> Response<AdminBody> {
        let Signer { identity, request_id, secure, secrets_allowed } = signer;
        let signer = strongroom_admin::Signer { identity, request_id, secure, secrets_allowed };
        self.0.call(request, signer).await.map(|body| Box::pin(body.map_err(|_| ResponseCut)) as AdminBody)
    }
}
