//! What the Kubernetes login needs of a cluster: a service account's token, and the API server's TokenReview. No cluster signs here;
//! the server under test believes the review.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The token of the service account `name` in the namespace `store`.
pub(crate) fn service_account_token(name: &str) -> String {
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "sub": format!("system:serviceaccount:store:{name}"),
        "kubernetes.io/serviceaccount/namespace": "store",
        "kubernetes.io/serviceaccount/secret.name": "token",
        "kubernetes.io/serviceaccount/service-account.name": name,
        "kubernetes.io/serviceaccount/service-account.uid": format!("uid-of-{name}"),
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims), URL_SAFE_NO_PAD.encode([7; 256]))
}

/// An API server that reviews tokens.
pub(crate) struct TokenReviews {
    pub(crate) address: String,
    reviews: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl TokenReviews {
    /// Knows one token, of this service account.
    pub(crate) async fn start(token: String, name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let reviews = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&reviews);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *counted.lock().unwrap() += 1;
                review(stream, &token, name).await;
            }
        });
        Self { address, reviews, task }
    }

    pub(crate) fn count(&self) -> usize {
        *self.reviews.lock().unwrap()
    }
}

impl Drop for TokenReviews {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn review(mut stream: TcpStream, token: &str, name: &str) {
    let request = request_body(&mut stream).await;
    let status = if request["spec"]["token"] == token {
        let user = json!({ "username": format!("system:serviceaccount:store:{name}"), "uid": format!("uid-of-{name}") });
        json!({ "authenticated": true, "user": user })
    } else {
        json!({ "authenticated": false, "error": "unknown token" })
    };
    let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status }).to_string();
    let head =
        format!("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

async fn request_body(stream: &mut TcpStream) -> Value {
    let mut received = Vec::new();
    loop {
        stream.read_buf(&mut received).await.unwrap();
        let text = String::from_utf8_lossy(&received);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(value) = serde_json::from_str(body)
        {
            return value;
        }
    }
}
