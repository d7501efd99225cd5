//! POST Object. How it got here: [`crate::form`].

use strongroom_engine::api::{Body, PutObject};

use crate::{api::Api, authorize::hide_missing, body::Trailers, headers, ops::objects, refusal::Refusal, reply::Reply, request::Request};

pub(crate) async fn post(api: &Api, mut request: Request) -> Result<Reply, Refusal> {
    headers::refuse_unsupported(&request.headers)?;
    let form = request.form.take().ok_or_else(|| Refusal::NotImplemented("A POST without a form".to_owned()))?;
    let refused = form.file.refused();
    let body = Body { length: None, stream: Box::pin(form.file) };
    let put = PutObject { by_form: true, ..objects::put_request(&request, body, Trailers::default())? };
    let stored = api.engine.put_object(&request.caller, put).await;
    match (stored, refused.get()) {
        (Ok(stored), _) => form.answer.reply(&request.bucket, &request.key, &stored),
        // The engine knows only that the body broke off.
        (Err(_), Some(reason)) => Err(reason.clone().into()),
        (Err(error), _) => Err(hide_missing(&request, &request.bucket, error)),
    }
}
