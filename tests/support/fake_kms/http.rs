//! As much of HTTP/1.1 as the SDK speaks to one endpoint.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::{Value, json};

pub struct Request {
    pub action: String,
    /// The one that the request is signed for.
    pub region: String,
    /// The id of the access key that it is signed with.
    pub signer: String,
    /// When it was signed, in Unix seconds.
    pub signed_at: i64,
    pub body: Value,
}

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub body: String,
    pub request_id: String,
    /// Of the server's own clock.
    pub date: String,
}

impl Response {
    pub fn ok(body: Value) -> Self {
        Self::new(200, body.to_string())
    }

    const fn new(status: u16, body: String) -> Self {
        Self { status, body, request_id: String::new(), date: String::new() }
    }

    pub fn error(status: u16, code: &str) -> Self {
        let body = json!({ "__type": code, "message": "by the fake, which quotes value-of-a-pair-93ac" });
        Self::new(status, body.to_string())
    }

    /// As a load balancer would say it.
    pub fn without_code(status: u16) -> Self {
        Self::new(status, "<html>oh no</html>".to_owned())
    }
}

pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next request: `None` at the end, or if it is not understood.
    pub fn read(&mut self) -> Option<Request> {
        let (mut action, mut region, mut length) = (None, None, 0);
        let (mut signer, mut signed_at) = (None, None);
        let mut line = String::new();
        self.line(&mut line)?;
        loop {
            self.line(&mut line)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "x-amz-target" => action = Some(value.strip_prefix("TrentService.")?.to_owned()),
                // AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/kms/aws4_request, ...
                "authorization" => {
                    let mut scope = value.split("Credential=").nth(1)?.split('/').map(str::to_owned);
                    (signer, region) = (scope.next(), scope.nth(1));
                }
                "x-amz-date" => signed_at = Some(seconds(value)?),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        let body = serde_json::from_slice(&body).ok()?;
        Some(Request { action: action?, region: region?, signer: signer?, signed_at: signed_at?, body })
    }

    fn line(&mut self, line: &mut String) -> Option<()> {
        line.clear();
        if self.0.read_line(line).ok()? == 0 {
            return None;
        }
        line.truncate(line.trim_end().len());
        Some(())
    }

    pub fn write(&mut self, response: &Response) -> Option<()> {
        self.0.get_mut().write_all(bytes(response).as_bytes()).ok()
    }

    /// All but the last bytes, and then the end.
    pub fn write_half(mut self, response: &Response) {
        let bytes = bytes(response);
        drop(self.0.get_mut().write_all(&bytes.as_bytes()[..bytes.len() - response.body.len() / 2 - 1]));
    }

    pub fn wait_for_the_end(mut self) {
        while self.0.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    }
}

/// Of a time such as `20261122T012514Z`.
fn seconds(text: &str) -> Option<i64> {
    let part = |at: std::ops::Range<usize>| text.get(at);
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?
    );
    DateTime::from_str(&text, Format::DateTime).ok().map(|time| time.secs())
}

fn bytes(response: &Response) -> String {
    let Response { status, body, request_id, date } = response;
    format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/x-amz-json-1.1\r\nx-amzn-RequestId: {request_id}\r\n\
         Date: {date}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
