//! A request of `mc`, and what answers it.

use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strongroom_iam::{IamError, Operation};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::cipher;
use crate::http::{Answer, ApiError, Call, Received, from_json};

/// A derivation takes 64 MiB and a processor for a tenth of a second: one at a time, others wait.
static DERIVING: Semaphore = Semaphore::const_new(1);
/// Items of a page; and so many pages are read for one answer.
const ITEMS_PER_PAGE: u32 = 1000;
const MAX_PAGES: usize = 200;

/// What was asked.
pub(super) struct Asked {
    call: Call,
    query: Vec<(String, String)>,
    body: Bytes,
}

impl Asked {
    pub(super) fn read(call: Call, received: &Received, taken: &[&str]) -> Result<Self, ApiError> {
        if let Some((name, _)) = received.query.iter().find(|(name, _)| !taken.contains(&name.as_str())) {
            let shown: String = name.chars().filter(|one| !one.is_control()).take(64).collect();
            return Err(ApiError::invalid(format!("unknown query parameter `{shown}`")));
        }
        Ok(Self { call, query: received.query.clone(), body: received.body.clone() })
    }

    /// A query parameter that must be there.
    pub(super) fn one(&self, name: &str) -> Result<&str, ApiError> {
        let found = self.optional(name);
        found.ok_or_else(|| ApiError::invalid(format!("the query parameter `{name}` is missing")))
    }

    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// The values of a query parameter that may be given more than once.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.query.iter().filter(|(other, value)| other == name && !value.is_empty()).map(|(_, value)| value.as_str()).collect()
    }

    /// The body in JSON, which is not encrypted.
    pub(super) fn plain<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        from_json(&self.body)
    }

    /// The body as it came.
    pub(super) fn text(&self) -> Result<&str, ApiError> {
        std::str::from_utf8(&self.body).map_err(|_| ApiError::invalid("The body is not UTF-8."))
    }

    /// The body in JSON, which is encrypted with the secret key of who signed.
    pub(super) async fn opened<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let (secret, body) = (self.secret(), self.body.clone());
        let _turn = DERIVING.acquire().await.map_err(|error| ApiError::internal(&error))?;
        let opened = spawn_blocking(move || cipher::open(&secret, &body)).await.map_err(|error| ApiError::internal(&error))?;
        let opened =
            opened.map_err(|_| ApiError::invalid("The body is not encrypted with the secret key that signed the request, as mc does."))?;
        from_json(&opened)
    }

    /// An answer that is encrypted so.
    pub(super) async fn sealed(&self, value: &Value) -> Result<Answer, ApiError> {
        let (secret, plain) = (self.secret(), Zeroizing::new(value.to_string().into_bytes()));
        let _turn = DERIVING.acquire().await.map_err(|error| ApiError::internal(&error))?;
        let sealed = spawn_blocking(move || cipher::seal(&secret, &plain)).await.map_err(|error| ApiError::internal(&error))?;
        let sealed = sealed.map_err(|_| ApiError::internal(&std::io::Error::other("an answer cannot be encrypted")))?;
        Ok(Answer::bytes("application/octet-stream", sealed))
    }

    fn secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.call.signer.identity.secret.expose().to_owned())
    }

    /// The name of the user who asks, if it is one.
    pub(super) fn user_name(&self) -> Option<&str> {
        self.call.signer.identity.user_name()
    }

    /// The ARN of a managed policy by its name: one of the account, or one that every account has.
    pub(super) fn arns(&self, policy: &str) -> [String; 2] {
        let arn = |owner: &str| strongroom_access::arn::policy(owner, "/", policy);
        [arn(&self.call.signer.identity.account), arn("aws")]
    }

    /// Makes a call of identity management. Parameters that are null are left out.
    pub(super) async fn run(&self, name: &str, params: Value) -> Result<Value, IamError> {
        let operation = operation(name)?;
        let params = operation.params(without_null(params))?;
        self.call.inner.parts.iam.call(operation, &params, &crate::iam::caller(&self.call)).await
    }

    /// Refuses who may not make all of these calls.
    pub(super) async fn permit(&self, names: &[&str], params: &Value) -> Result<(), IamError> {
        for name in names {
            let operation = operation(name)?;
            // What the calls need besides is not known yet, or not for all of them the same.
            let params = operation.some_params(params)?;
            self.call.inner.parts.iam.permit(operation, &params, &crate::iam::caller(&self.call)).await?;
        }
        Ok(())
    }

    /// Makes the call for the policy of that name: of the account, else of every account.
    pub(super) async fn run_for_policy(&self, name: &str, policy: &str, params: &Value) -> Result<Value, IamError> {
        let [own, of_all] = self.arns(policy);
        let with = |arn: String| {
            let mut params = params.clone();
            params["PolicyArn"] = json!(arn);
            params
        };
        match self.run(name, with(own)).await {
            Err(IamError::NoSuchEntity(message)) => self.run(name, with(of_all)).await.map_err(|error| match error {
                IamError::NoSuchEntity(_) => IamError::NoSuchEntity(message),
                error => error,
            }),
            other => other,
        }
    }

    /// What all pages of a listing have in a field.
    pub(super) async fn pages(&self, name: &str, params: Value, list: &str) -> Result<Vec<Value>, IamError> {
        let (mut items, mut marker) = (Vec::new(), Value::Null);
        for _ in 0..MAX_PAGES {
            let mut page = params.clone();
            (page["MaxItems"], page["Marker"]) = (json!(ITEMS_PER_PAGE), marker);
            let mut answer = self.run(name, page).await?;
            if let Value::Array(found) = answer[list].take() {
                items.extend(found);
            }
            marker = answer["Marker"].take();
            if marker.is_null() {
                break;
            }
        }
        Ok(items)
    }
}

/// Answers with JSON that is not encrypted.
pub(super) fn shown(value: &Value) -> Result<Answer, ApiError> {
    Answer::json(StatusCode::OK, value)
}

/// Answers that it is done.
pub(super) fn done(status: StatusCode) -> Answer {
    Answer::empty(status)
}

/// The names of a list of policies, comma-separated, as MinIO has them.
pub(super) fn policy_names(of: &Value) -> Vec<String> {
    let attached = of["AttachedPolicies"].as_array().into_iter().flatten();
    attached.filter_map(|policy| policy["PolicyName"].as_str()).map(str::to_owned).collect()
}

/// A text of an answer; empty where there is none.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn operation(name: &str) -> Result<Operation, IamError> {
    Operation::named(name).ok_or_else(|| IamError::InvalidAction(format!("Could not find operation {name}.")))
}

fn without_null(params: Value) -> serde_json::Map<String, Value> {
    match params {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => serde_json::Map::new(),
    }
}
