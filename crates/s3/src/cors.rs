//! Cross-origin requests of browsers: preflights, and the headers by which a page may read an answer (S3 CORS).

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use strongroom_engine::{Error, api::CorsRule};

use crate::{api::Api, headers, refusal::Refusal, reply::Reply};

/// The methods that a rule can allow.
pub(crate) const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];
/// A preflight that asks for more headers than that fits no rule: what comparing them costs is bounded.
const MAX_REQUESTED_HEADERS: usize = 128;

const NO_RULES: &str = "CORSResponse: CORS is not enabled for this bucket.";
const NO_RULE_FITS: &str = "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / \
                            Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.";
const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// What a browser says of a page's request.
#[derive(Debug)]
pub(crate) struct Asked {
    origin: String,
    method: String,
    /// In lower case.
    headers: Vec<String>,
}

impl Asked {
    /// Of a preflight. It is refused where it says too little.
    fn of_preflight(headers: &HeaderMap) -> Result<Self, Refusal> {
        let needed = || Refusal::BadRequest("Insufficient information. Origin request header needed.".to_owned());
        let origin = headers::filled(headers, "origin")?.ok_or_else(needed)?;
        let method = headers::value(headers, "access-control-request-method")?;
        let method = match method {
            Some(method) if METHODS.contains(&method.as_str()) => method,
            other => {
                let said = other.as_deref().unwrap_or("null");
                return Err(Refusal::BadRequest(format!("Invalid Access-Control-Request-Method: {said}")));
            }
        };
        let headers = headers::list(headers, "access-control-request-headers");
        Ok(Self { origin, method, headers: headers.iter().map(|name| name.to_ascii_lowercase()).collect() })
    }

    /// Of the request itself; none where no page sends it. S3 lets it name another method than its own.
    pub(crate) fn of_request(method: &Method, map: &HeaderMap) -> Option<Self> {
        if !map.contains_key(header::ORIGIN) || *method == Method::OPTIONS {
            return None;
        }
        let origin = headers::filled(map, "origin").ok()??;
        let named = headers::filled(map, "access-control-request-method").ok()?;
        Some(Self { origin, method: named.unwrap_or_else(|| method.to_string()), headers: Vec::new() })
    }

    /// What the first rule that fits answers.
    fn answer_of(&self, rules: &[CorsRule]) -> Option<HeaderMap> {
        if self.headers.len() > MAX_REQUESTED_HEADERS {
            return None;
        }
        rules.iter().find_map(|rule| {
            let origin = rule.origins.iter().find(|pattern| fits(pattern, &self.origin))?;
            (rule.methods.contains(&self.method) && self.headers.iter().all(|name| allows(rule, name))).then(|| self.answer(rule, origin))
        })
    }

    fn answer(&self, rule: &CorsRule, origin: &str) -> HeaderMap {
        let is_any = origin == "*";
        let mut answer = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| {
            // What came in a header goes out in one.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                answer.insert(name, value);
            }
        };
        add(header::ACCESS_CONTROL_ALLOW_ORIGIN, if is_any { "*" } else { &self.origin });
        add(header::ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
        if !self.headers.is_empty() {
            add(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", "));
        }
        if !rule.exposed.is_empty() {
            add(header::ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
        }
        if let Some(seconds) = rule.max_age_seconds {
            add(header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
        }
        if !is_any {
            add(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        add(header::VARY, VARY);
        answer
    }
}

/// Answers a preflight, which no browser signs. It tells of a bucket that is not there what it tells of one without rules.
pub(crate) async fn preflight(api: &Api, bucket: &str, headers: &HeaderMap) -> Result<Reply, Refusal> {
    let asked = Asked::of_preflight(headers)?;
    let rules = match api.engine.bucket_cors(bucket).await {
        Err(Error::NoSuchBucket) => None,
        other => other?,
    };
    let forbidden = |message, asked: Asked| Refusal::CorsForbidden { message, method: asked.method };
    let Some(rules) = rules else { return Err(forbidden(NO_RULES, asked)) };
    match asked.answer_of(&rules) {
        Some(headers) => Ok(Reply { headers, ..Reply::ok() }),
        None => Err(forbidden(NO_RULE_FITS, asked)),
    }
}

/// Adds to the answer of a page's request what lets the page read it. An answer whose rules cannot be read goes out without.
pub(crate) async fn let_in(api: &Api, bucket: &str, asked: &Asked, answer: &mut HeaderMap) {
    if let Ok(Some(rules)) = api.engine.bucket_cors(bucket).await
        && let Some(headers) = asked.answer_of(&rules)
    {
        answer.extend(headers);
    }
}

fn allows(rule: &CorsRule, name: &str) -> bool {
    rule.headers.iter().any(|pattern| fits(&pattern.to_ascii_lowercase(), name))
}

/// Whether the text is the pattern, whose one `*` stands for any characters, or none.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => text.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> CorsRule {
        CorsRule { origins: strings(origins), methods: strings(methods), headers: strings(headers), ..CorsRule::default() }
    }

    fn asked(origin: &str, method: &str, headers: &[&str]) -> Asked {
        Asked { origin: origin.to_owned(), method: method.to_owned(), headers: strings(headers) }
    }

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_wildcard_of_an_origin_stands_anywhere_for_any_characters_or_none() {
        for (pattern, origin, does) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "HTTPS://A.EXAMPLE", false),
            ("*", "null", true),
            ("https://*.example", "https://a.b.example", true),
            ("https://*.example", "https://.example", true),
            ("https://*.example", "https://example", false),
            ("https://*.example", "http://a.example", false),
            ("https://*.example", "https://a.example.evil", false),
            ("*suffix", "foo.suffix", true),
            ("*suffix", "foo.suffix.get", false),
            ("start*end", "startend", true),
            ("start*end", "start12end", true),
            ("start*end", "0startend", false),
            ("aba*aba", "aba", false),
            ("aba*aba", "ababa", false),
            ("prefix*", "prefix", true),
            ("prefix*", "bla.prefix", false),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, origin), does, "{pattern} {origin}");
        }
    }

    #[test]
    fn headers_are_compared_whatever_their_case() {
        let rules = [rule(&["*"], &["PUT"], &["Content-Type", "X-Amz-*", "*-Suffix"])];
        let fits = |headers: &[&str]| asked("https://a", "PUT", headers).answer_of(&rules).is_some();
        assert!(fits(&[]));
        assert!(fits(&["content-type", "x-amz-date", "x-amz-", "my-suffix"]));
        assert!(!fits(&["content-type", "x-ama"]));
        assert!(!fits(&["content-type2"]));
        let none = [rule(&["*"], &["PUT"], &[])];
        assert!(asked("https://a", "PUT", &["content-type"]).answer_of(&none).is_none());
    }

    #[test]
    fn the_first_rule_that_fits_in_origin_method_and_headers_answers() {
        let mut rules = vec![
            rule(&["https://a"], &["GET"], &["*"]),
            rule(&["https://a"], &["PUT", "GET"], &["x-one"]),
            rule(&["https://a", "*"], &["PUT"], &["*"]),
        ];
        for (index, rule) in (1..).zip(&mut rules) {
            rule.max_age_seconds = Some(index);
        }
        let age = |origin: &str, method: &str, headers: &[&str]| {
            let answer = asked(origin, method, headers).answer_of(&rules)?;
            Some(answer[header::ACCESS_CONTROL_MAX_AGE].to_str().unwrap().to_owned())
        };
        assert_eq!(age("https://a", "GET", &["x-one"]).as_deref(), Some("1"));
        assert_eq!(age("https://a", "PUT", &["x-one"]).as_deref(), Some("2"));
        assert_eq!(age("https://a", "PUT", &["x-two"]).as_deref(), Some("3"));
        assert_eq!(age("https://b", "PUT", &[]).as_deref(), Some("3"));
        assert_eq!(age("https://b", "GET", &[]), None);
        assert_eq!(age("https://a", "DELETE", &[]), None);
    }

    #[test]
    fn an_answer_names_the_origin_and_lets_credentials_in_unless_every_origin_may() {
        let named =
            CorsRule { exposed: strings(&["ETag", "x-amz-id-2"]), max_age_seconds: Some(0), ..rule(&["h*"], &["GET", "PUT"], &["*"]) };
        let answer = asked("https://a", "GET", &["x-b", "x-a"]).answer_of(&[named]).unwrap();
        let expected = map(&[
            ("access-control-allow-origin", "https://a"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "x-b, x-a"),
            ("access-control-expose-headers", "ETag, x-amz-id-2"),
            ("access-control-max-age", "0"),
            ("access-control-allow-credentials", "true"),
            ("vary", VARY),
        ]);
        assert_eq!(answer, expected);
        let answer = asked("https://a", "GET", &[]).answer_of(&[rule(&["*"], &["GET"], &[])]).unwrap();
        assert_eq!(answer, map(&[("access-control-allow-origin", "*"), ("access-control-allow-methods", "GET"), ("vary", VARY)]));
    }

    #[test]
    fn a_preflight_says_its_origin_and_a_method_there_is() {
        let message = |pairs: &[(&'static str, &str)]| match Asked::of_preflight(&map(pairs)) {
            Err(Refusal::BadRequest(message)) => message,
            other => panic!("{other:?}"),
        };
        let needed = "Insufficient information. Origin request header needed.";
        assert_eq!(message(&[]), needed);
        assert_eq!(message(&[("origin", ""), ("access-control-request-method", "GET")]), needed);
        assert_eq!(message(&[("origin", "a")]), "Invalid Access-Control-Request-Method: null");
        for method in ["PATCH", "get", "OPTIONS"] {
            let said = message(&[("origin", "a"), ("access-control-request-method", method)]);
            assert_eq!(said, format!("Invalid Access-Control-Request-Method: {method}"));
        }
        let asked = Asked::of_preflight(&map(&[
            ("origin", "a"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "X-One,, x-two "),
        ]));
        assert_eq!(asked.unwrap().headers, ["x-one", "x-two"]);
    }

    #[test]
    fn more_headers_than_the_bound_fit_no_rule() {
        let rules = [rule(&["*"], &["GET"], &["*"])];
        let names = vec!["x"; MAX_REQUESTED_HEADERS + 1];
        assert!(asked("a", "GET", &names[1..]).answer_of(&rules).is_some());
        assert!(asked("a", "GET", &names).answer_of(&rules).is_none());
    }

    #[test]
    fn only_a_request_with_an_origin_is_a_pages() {
        assert!(Asked::of_request(&Method::GET, &map(&[])).is_none());
        assert!(Asked::of_request(&Method::GET, &map(&[("origin", "")])).is_none());
        assert!(Asked::of_request(&Method::OPTIONS, &map(&[("origin", "a")])).is_none());
        assert_eq!(Asked::of_request(&Method::GET, &map(&[("origin", "a")])).unwrap().method, "GET");
        let named = map(&[("origin", "a"), ("access-control-request-method", "PUT")]);
        assert_eq!(Asked::of_request(&Method::GET, &named).unwrap().method, "PUT");
    }
}
