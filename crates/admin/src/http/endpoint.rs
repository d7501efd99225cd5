//! One row of the table: a method, a path, who may, what it takes and gives, and what it does.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Response, StatusCode};
use serde::Serialize;
use strongroom_access::Action;
use strongroom_audit::Event;
use utoipa::ToSchema;
use utoipa::openapi::path::OperationBuilder;

use super::{Answer, ApiError, Call, Input, Received};
use crate::admin::{Inner, Signer};
use crate::openapi::Schemas;

/// What a call leaves behind, and so how it is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Reads,
    /// A use of a key.
    Uses,
    /// A change, recorded durably before the answer.
    Changes,
    /// What is recorded where it is done.
    RecordsItself,
}

/// What answers.
pub(crate) enum Shape {
    /// JSON of this schema.
    Json(fn(&mut Schemas) -> utoipa::openapi::RefOr<utoipa::openapi::Schema>),
    /// JSON documents one after the other.
    Stream,
    /// JSON.
    Any,
    /// A list in JSON.
    List,
    /// Text of this type.
    Text(&'static str),
    /// Nothing.
    Nothing,
}

/// Reads the input; then checks the permission; then, if that may go on, begins.
type Prepare = Arc<dyn Fn(Call, &Received) -> Result<Permitting, ApiError> + Send + Sync>;
type Permitting = Pin<Box<dyn Future<Output = Result<Running, ApiError>> + Send>>;
type Running = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send>>;
/// Says in the OpenAPI document what a call takes.
type Describe = Arc<dyn Fn(OperationBuilder, &mut Schemas) -> OperationBuilder + Send + Sync>;

/// A row.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// Behind the prefix; `{name}` stands for a segment.
    pub(crate) path: Cow<'static, str>,
    /// The name in the audit log, and in the OpenAPI document.
    pub(crate) operation: &'static str,
    pub(crate) summary: Cow<'static, str>,
    /// All of them are needed.
    pub(crate) actions: &'static [Action],
    pub(crate) effect: Effect,
    /// Whether `?backend=` says which backend is meant.
    pub(crate) of_backend: bool,
    /// Whether users of every account may make it, each for the own one; else those of the main account alone.
    pub(crate) of_every_account: bool,
    /// The largest body in bytes.
    pub(crate) max_body_bytes: usize,
    pub(crate) status: StatusCode,
    pub(crate) shape: Shape,
    pub(crate) describe: Describe,
    prepare: Prepare,
}

/// The largest body of most calls.
pub(crate) const MAX_BODY_BYTES: usize = 64 << 10;

/// A row whose answer is made by `answer` from what the handler gives.
pub(crate) fn endpoint<I, O, F, R>(
    (method, path): (Method, &'static str),
    operation: &'static str,
    actions: &'static [Action],
    summary: &'static str,
    handler: F,
) -> Endpoint
where
    I: Input,
    O: Reply,
    F: Fn(Call, I) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = Result<O, ApiError>> + Send + 'static,
{
    let prepare = move |call: Call, received: &Received| -> Result<Permitting, ApiError> {
        let input = I::read(received)?;
        if let Some(key_id) = input.key_id() {
            call.key_id(key_id)?;
        }
        let (about, actions, handler) = (input.about(), input.actions(actions), handler.clone());
        Ok(Box::pin(async move {
            call.permit(&actions, &about).await?;
            let call = if call.is_of_a_tenant() { call.on_own_backend(&about).await? } else { call };
            let running: Running = Box::pin(async move { handler(call, input).await?.into_answer() });
            Ok(running)
        }))
    };
    Endpoint {
        effect: if method == Method::GET { Effect::Reads } else { Effect::Changes },
        method,
        path: path.into(),
        operation,
        summary: summary.into(),
        actions,
        of_backend: false,
        of_every_account: false,
        max_body_bytes: MAX_BODY_BYTES,
        status: O::STATUS,
        shape: O::shape(),
        describe: Arc::new(I::describe),
        prepare: Arc::new(prepare),
    }
}

/// A row of what decides itself who may, and records itself: a call of identity management.
pub(crate) fn of_identities(
    (method, path): (Method, String),
    (operation, actions): (&'static str, &'static [Action]),
    summary: String,
    describe: impl Fn(OperationBuilder, &mut Schemas) -> OperationBuilder + Send + Sync + 'static,
    prepare: impl Fn(Call, &Received) -> Result<Running, ApiError> + Send + Sync + 'static,
) -> Endpoint {
    let prepare = move |call: Call, received: &Received| -> Result<Permitting, ApiError> {
        let running = prepare(call, received)?;
        Ok(Box::pin(std::future::ready(Ok(running))))
    };
    Endpoint {
        method,
        path: path.into(),
        operation,
        summary: summary.into(),
        actions,
        effect: Effect::RecordsItself,
        of_backend: false,
        of_every_account: false,
        max_body_bytes: MAX_BODY_BYTES,
        status: StatusCode::OK,
        shape: Shape::Any,
        describe: Arc::new(describe),
        prepare: Arc::new(prepare),
    }
}

impl Endpoint {
    /// `?backend=` says which backend is meant.
    pub(crate) fn of_backend(self) -> Self {
        Self { of_backend: true, ..self }
    }

    /// Answers so.
    pub(crate) fn with_answer(self, status: StatusCode, shape: Shape) -> Self {
        Self { status, shape, ..self }
    }

    /// Users of every account may make it, each for the own one.
    pub(crate) fn of_every_account(self) -> Self {
        Self { of_every_account: true, ..self }
    }

    pub(crate) fn with_effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    pub(crate) fn with_max_body_bytes(self, max_body_bytes: usize) -> Self {
        Self { max_body_bytes, ..self }
    }

    /// The same under another path: an alias.
    pub(crate) fn also(&self, method: Method, path: &'static str) -> Self {
        Self {
            method,
            path: path.into(),
            summary: self.summary.clone(),
            prepare: Arc::clone(&self.prepare),
            describe: Arc::clone(&self.describe),
            shape: match self.shape {
                Shape::Json(schema) => Shape::Json(schema),
                Shape::Stream => Shape::Stream,
                Shape::Any => Shape::Any,
                Shape::List => Shape::List,
                Shape::Text(content_type) => Shape::Text(content_type),
                Shape::Nothing => Shape::Nothing,
            },
            ..*self
        }
    }

    /// Answers a request, and records it.
    pub(crate) async fn run(&self, inner: Arc<Inner>, signer: Signer, mut received: Received) -> Response<Body> {
        let backend = self.of_backend.then(|| take(&mut received.query, "backend")).flatten();
        let call = Call::new(inner, signer, self.operation, backend);
        if let Err(refused) = self.check_account(&call) {
            return refused.into_response();
        }
        match self.answer(&call, &received).await {
            Ok(answer) => answer.into_response(),
            Err(error) => error.into_response(),
        }
    }

    /// Refuses whoever may not make the call whatever it is about, which is known before its body is read. None: it may be read.
    pub(crate) async fn refusal(&self, inner: Arc<Inner>, signer: Signer) -> Option<Response<Body>> {
        if self.effect == Effect::RecordsItself {
            return None;
        }
        let call = Call::new(inner, signer, self.operation, None);
        if let Err(refused) = self.check_account(&call) {
            return Some(refused.into_response());
        }
        let denied = call.permit_with_service(self.actions).err()?;
        let unrecorded = self.record(&call, Some(&denied), false).await.err();
        Some(unrecorded.unwrap_or(denied).into_response())
    }

    /// Keys, jobs and the audit log are not of one account alone; a key may be.
    fn check_account(&self, call: &Call) -> Result<(), ApiError> {
        if self.of_every_account || !call.is_of_a_tenant() {
            return Ok(());
        }
        Err(ApiError::denied("Administration is for users of the main account."))
    }

    async fn answer(&self, call: &Call, received: &Received) -> Result<Answer, ApiError> {
        let audit = &call.inner.parts.audit;
        // Before anything is done that could not be recorded.
        match self.effect {
            Effect::Changes => audit.health_for_acts()?,
            Effect::Uses => audit.health()?,
            Effect::Reads | Effect::RecordsItself => {}
        }
        let mut was_begun = false;
        let permitted = match (self.prepare)(call.clone(), received) {
            Ok(permitting) => permitting.await,
            Err(error) => Err(error),
        };
        let outcome = match permitted {
            Ok(running) => {
                if self.effect == Effect::Changes {
                    // Whatever happens from here on, the log tells that it was asked for.
                    self.record_change(call, &call.begun()).await?;
                    was_begun = true;
                }
                running.await
            }
            Err(error) => Err(error),
        };
        self.record(call, outcome.as_ref().err(), was_begun).await?;
        outcome
    }

    /// What tenants do with their own keys takes nothing of what the log reserves for those who run the store.
    async fn record_change(&self, call: &Call, event: &Event) -> Result<(), ApiError> {
        if call.is_of_a_tenant() { call.inner.record_within_quota(event).await } else { call.inner.record_durably(event).await }
    }

    async fn record(&self, call: &Call, failed: Option<&ApiError>, was_begun: bool) -> Result<(), ApiError> {
        let event = call.event(failed.map(|error| error.code));
        match self.effect {
            Effect::Changes if was_begun => self.record_change(call, &event).await,
            Effect::Changes => call.inner.record_within_quota(&event).await,
            Effect::Uses => call.inner.record(event).await,
            // Whoever asks for what he may not see is worth a record too.
            Effect::Reads if failed.is_some_and(|error| error.status == StatusCode::FORBIDDEN) => call.inner.record(event).await,
            Effect::Reads | Effect::RecordsItself => Ok(()),
        }
    }
}

fn take(query: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let at = query.iter().position(|(other, _)| other == name)?;
    Some(query.remove(at).1).filter(|value| !value.is_empty())
}

/// What a handler may give.
pub(crate) trait Reply: Send + 'static {
    /// The status of success.
    const STATUS: StatusCode;

    fn shape() -> Shape;

    fn into_answer(self) -> Result<Answer, ApiError>;
}

impl<T: Serialize + ToSchema + Send + 'static> Reply for T {
    const STATUS: StatusCode = StatusCode::OK;

    fn shape() -> Shape {
        Shape::Json(Schemas::reference::<T>)
    }

    fn into_answer(self) -> Result<Answer, ApiError> {
        Answer::json(Self::STATUS, &self)
    }
}

/// Work that goes on after the answer: 202.
pub(crate) struct Accepted<T>(pub(crate) T);

/// No content: 204.
pub(crate) struct NoContent;

/// 200 without a body.
pub(crate) struct Done;

/// Text of the type `T`.
pub(crate) struct Yaml(pub(crate) String);

/// JSON documents one after the other.
pub(crate) struct Documents(pub(crate) Body);

impl<T: Serialize + ToSchema + Send + 'static> Reply for Accepted<T> {
    const STATUS: StatusCode = StatusCode::ACCEPTED;

    fn shape() -> Shape {
        T::shape()
    }

    fn into_answer(self) -> Result<Answer, ApiError> {
        Answer::json(Self::STATUS, &self.0)
    }
}

impl Reply for NoContent {
    const STATUS: StatusCode = StatusCode::NO_CONTENT;

    fn shape() -> Shape {
        Shape::Nothing
    }

    fn into_answer(self) -> Result<Answer, ApiError> {
        Ok(Answer::empty(Self::STATUS))
    }
}

impl Reply for Done {
    const STATUS: StatusCode = StatusCode::OK;

    fn shape() -> Shape {
        Shape::Nothing
    }

    fn into_answer(self) -> Result<Answer, ApiError> {
        Ok(Answer::empty(Self::STATUS))
    }
}

impl Reply for Yaml {
    const STATUS: StatusCode = StatusCode::OK;

    fn shape() -> Shape {
        Shape::Text("application/yaml")
    }

    fn into_answer(self) -> Result<Answer, ApiError> {
        Ok(Answer::text("application/yaml", self.0))
    }
}

impl Reply for Documents {
    const STATUS: StatusCode = StatusCode::OK;

    fn shape() -> Shape {
        Shape::Stream
    }

    fn into_answer(self) -> Result<Answer, ApiError> {
        Ok(Answer::stream(self.0))
    }
}
