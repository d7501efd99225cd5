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

    fn is_of_every_account(&self, method: &Method, path: &str) -> bool {
        self.0.is_of_every_account(method, path)
    }

    async fn refusal(&self, method: &Method, path: &str, signer: &Signer) -> Option<Response<AdminBody>> {
        self.0.refusal(method, path, known(signer.clone())).await.map(answered)
    }

    async fn handle(&self, request: Request<Bytes>, signer: Signer) -> Response<AdminBody> {
        answered(self.0.call(request, known(signer)).await)
    }
}

fn known(signer: Signer) -> strongroom_admin::Signer {
    let Signer { identity, request_id, peer, secure, secrets_allowed, conditions } = signer;
    strongroom_admin::Signer { identity, request_id, peer, secure, secrets_allowed, conditions }
}

fn answered(response: Response<impl BodyExt<Data = Bytes> + Send + 'static>) -> Response<AdminBody> {
    response.map(|body| Box::pin(body.map_err(|_| ResponseCut)) as AdminBody)
}
