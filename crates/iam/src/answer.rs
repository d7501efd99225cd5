//! A call from its parameters to its answer: whether it is allowed, what the audit log says, and what comes of it.

use strongroom_access::{Action, ConditionKey, Conditions, Decision, MAIN_ACCOUNT};
use strongroom_audit::{Event, Outcome};

use crate::{
    Caller, Iam, IamError, Params,
    call::Call,
    query,
    table::{self, Effect, On, Row, Service, Target},
};

/// The most characters that are recorded of a parameter.
const MAX_NOTED_CHARS: usize = 128;
/// The parameters that the audit log names.
const NOTED: [&str; 14] = [
    "UserName",
    "NewUserName",
    "GroupName",
    "NewGroupName",
    "RoleName",
    "RoleArn",
    "PolicyName",
    "PolicyArn",
    "AccessKeyId",
    "Status",
    "PermissionsBoundary",
    "OpenIDConnectProviderArn",
    "AccountId",
    "AccountName",
];

/// The parameters that hold a policy, of which a call has one.
const DOCUMENTS: [&str; 2] = ["PolicyDocument", "AssumeRolePolicyDocument"];
/// The longest document that a policy may be, with its white space.
const MAX_DOCUMENT_CHARS: usize = 20 << 10;

/// What a client gets.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// XML.
    pub body: String,
    /// The name of the call, or a dash.
    pub operation: &'static str,
    /// Empty where it was done.
    pub code: &'static str,
}

impl Iam {
    /// Answers a request of the query protocol whose signature was verified for a service, or that has none.
    pub async fn answer(&self, signed_for: Option<Service>, params: &Params, caller: &Caller) -> Answer {
        let row = params.get("Action").and_then(table::find);
        let service = row.map(|row| row.service).or(signed_for).unwrap_or(Service::Iam);
        let outcome = match row {
            None => Err(no_such_call(params)),
            Some(row) if signed_for.is_some_and(|signed_for| signed_for != row.service) => Err(IamError::AccessDenied(format!(
                "{} is a call of {}, and the request is signed for another service.",
                row.name,
                row.service.name()
            ))),
            Some(row) => self.run(row, params, caller).await,
        };
        let operation = row.map_or("-", |row| row.name);
        match outcome {
            Ok(value) => Answer { status: 200, body: query::answer(service, operation, &value, &caller.request_id), operation, code: "" },
            Err(error) => {
                report(&error, operation, &caller.request_id);
                let (code, status) = error.code();
                Answer { status, body: query::refusal(service, &error, &caller.request_id), operation, code }
            }
        }
    }

    /// Refuses who may not make a call, and records that as if they had made it.
    pub(crate) async fn check(&self, row: &'static Row, params: &Params, caller: &Caller) -> Result<(), IamError> {
        let call = Call::new(self, caller, params);
        let permitted = permit(row, &call).await;
        if row.effect == Effect::Changes && permitted.is_err() {
            self.record(row, &call, permitted.as_ref().err(), false).await?;
        }
        permitted
    }

    pub(crate) async fn run(&self, row: &'static Row, params: &Params, caller: &Caller) -> Result<serde_json::Value, IamError> {
        let call = Call::new(self, caller, params);
        if call.identity.is_anonymous() {
            return self.run_unsigned(row, &call).await;
        }
        if row.effect == Effect::Reads {
            permit(row, &call).await?;
            return (row.run)(&call).await.map_err(|error| call.explain(error));
        }
        if let Err(refused) = permit(row, &call).await {
            self.record(row, &call, Some(&refused), false).await?;
            return Err(refused);
        }
        // Whatever happens from here on, the log tells that it was asked for.
        let begun = begun(event(row, &call, None), row, &call);
        let recorded =
            if takes_reserve(row, &call) { self.audit.append(&begun).await } else { self.audit.append_within_quota(&begun).await };
        recorded.map_err(unrecorded)?;
        let outcome = (row.run)(&call).await.map_err(|error| call.explain(error));
        self.record(row, &call, outcome.as_ref().err(), true).await?;
        outcome
    }

    /// Only what was done is on record: anybody could fill the log with what was refused.
    async fn run_unsigned(&self, row: &Row, call: &Call<'_>) -> Result<serde_json::Value, IamError> {
        if !row.is_unsigned {
            return Err(IamError::AccessDenied("The request must be signed.".to_owned()));
        }
        self.audit.health().map_err(unrecorded)?;
        let done = (row.run)(call).await?;
        self.audit.append_within_quota(&event(row, call, None)).await.map_err(unrecorded)?;
        Ok(done)
    }

    async fn record(&self, row: &Row, call: &Call<'_>, failed: Option<&IamError>, was_begun: bool) -> Result<(), IamError> {
        let event = event(row, call, failed);
        let recorded = if was_begun && takes_reserve(row, call) {
            self.audit.append(&event).await
        } else {
            self.audit.append_within_quota(&event).await
        };
        recorded.map(drop).map_err(unrecorded)
    }
}

/// Whether a call that its caller may make is recorded even when the log has reached its quota. What anybody may ask, or what a tenant's root may do
/// as often as they like, must not use up what is kept for those who run the store.
fn takes_reserve(row: &Row, call: &Call<'_>) -> bool {
    !row.decides_itself() && call.account == MAIN_ACCOUNT
}

/// Refuses whoever may not make the call on what it is about.
async fn permit(row: &Row, call: &Call<'_>) -> Result<(), IamError> {
    // GetSessionToken gives credentials for the work, not for administration. Source: "GetSessionToken" in the API reference of STS.
    if row.service != Service::Sts && call.identity.is_temporary() && call.identity.user_name().is_some() {
        return Err(IamError::AccessDenied(format!("{} is not available with the credentials of GetSessionToken.", row.name)));
    }
    if row.decides_itself() {
        return Ok(());
    }
    // Whatever its policies say: the store is not of one account alone.
    if row.on == On::Store && call.account != MAIN_ACCOUNT {
        return Err(IamError::AccessDenied(format!("{} is for users of the main account.", row.name)));
    }
    for target in row.on.targets(call).await? {
        permit_on(row, call, target)?;
    }
    Ok(())
}

fn permit_on(row: &Row, call: &Call<'_>, target: Target) -> Result<(), IamError> {
    let conditions = conditions(row.action, call, &target);
    if call.identity.may(row.action, &target.arn, &conditions) == Decision::Allow {
        return Ok(());
    }
    // A user may always look at itself: that is how an application learns who it is.
    let is_itself = row.action == Action::GetUser && call.params.get("UserName").is_none();
    if is_itself {
        return Ok(());
    }
    let who = call.identity.arn().unwrap_or_default();
    // As the caller named it: how the record spells it, and where it lies, is not for who has no right to it.
    let resource = target.named;
    Err(IamError::AccessDenied(format!("User: {who} is not authorized to perform: {} on resource: {resource}", row.action.as_str())))
}

/// What policies see of a call. A parameter counts for the calls alone that read it: elsewhere it is the client's to add at will.
fn conditions(action: Action, call: &Call<'_>, target: &Target) -> Conditions {
    use Action::{
        AttachGroupPolicy, AttachRolePolicy, AttachUserPolicy, CreateRole, CreateUser, DetachGroupPolicy, DetachRolePolicy,
        DetachUserPolicy, PutRolePermissionsBoundary, PutUserPermissionsBoundary,
    };
    let gives_boundary = matches!(action, CreateUser | CreateRole | PutUserPermissionsBoundary | PutRolePermissionsBoundary);
    let boundary = match &target.boundary {
        _ if gives_boundary => call.params.get("PermissionsBoundary").map(str::to_owned),
        present => present.as_ref().map(|policy| policy.arn(&call.account)),
    };
    let names_policy =
        matches!(action, AttachUserPolicy | AttachGroupPolicy | AttachRolePolicy | DetachUserPolicy | DetachGroupPolicy | DetachRolePolicy);
    let policy = call.params.get("PolicyArn").filter(|_| names_policy);
    let removed = call.params.list("TagKeys").into_iter().map(|key| (key, String::new()));
    let tags = call.params.pairs("Tags").into_iter().chain(removed).collect();
    let conditions = call.caller.conditions.clone().with_some(ConditionKey::PolicyArn, policy);
    conditions.with_some(ConditionKey::PermissionsBoundary, boundary).with_existing_tags(target.tags.clone()).with_request_tags(tags)
}

fn event(row: &Row, call: &Call<'_>, failed: Option<&IamError>) -> Event {
    let mut details = call.notes();
    // Calls of STS have their own notes, and whoever adds parameters to one must not make its record longer.
    for name in NOTED.into_iter().filter(|_| row.service != Service::Sts) {
        if let Some(value) = call.params.get(name) {
            details.insert(name.to_owned(), value.chars().take(MAX_NOTED_CHARS).collect());
        }
    }
    if let Some(peer) = call.caller.peer {
        details.insert("source_ip".to_owned(), peer.to_string());
    }
    if !call.identity.is_anonymous() && call.account != MAIN_ACCOUNT {
        details.insert("account".to_owned(), call.account.clone());
    }
    Event {
        request_id: call.caller.request_id.clone(),
        who: call.identity.name.clone(),
        operation: row.name.to_owned(),
        outcome: failed.map_or(Outcome::Ok, |error| Outcome::Error(error.code().0.to_owned())),
        details,
        ..Event::default()
    }
}

/// Who reads the log must see what a right became: the document stands in it whole. Callers who may not make the call put none there.
fn begun(mut event: Event, row: &Row, call: &Call<'_>) -> Event {
    event.details.insert("phase".to_owned(), "begun".to_owned());
    let mut documents = DOCUMENTS.into_iter().filter(|_| row.service == Service::Iam);
    if let Some(document) = documents.find_map(|name| call.params.get(name)) {
        event.details.insert("document".to_owned(), document.chars().take(MAX_DOCUMENT_CHARS).collect());
    }
    event
}

fn no_such_call(params: &Params) -> IamError {
    let shown: String = params.get("Action").unwrap_or_default().chars().filter(|one| !one.is_control()).take(64).collect();
    IamError::InvalidAction(format!("Could not find operation {shown}."))
}

fn unrecorded(error: strongroom_audit::AuditError) -> IamError {
    IamError::Internal(error.into())
}

/// The cause of a failure of the server, which the client does not get to see.
pub(crate) fn report(error: &IamError, operation: &str, request_id: &str) {
    if let IamError::Internal(cause) = error {
        tracing::error!(request_id, operation, %cause, "a call of identity management failed");
    }
}
