//! Contacts by number, and lists of them.

use super::*;

async fn ask(site: &Site, method: &str, path: &str, body: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/{path}"))
        .header("authorization", format!("Bearer {ADMIN}"))
        .header("content-type", if path.ends_with("import") { "text/csv" } else { "application/json" });
    site.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn a_contact_is_put_found_by_any_spelling_and_forgotten() {
    let site = Site::new();
    let put = r#"{"name":"Ada Weber","tags":["vip"],"language":"de"}"#;
    assert_eq!(ask(&site, "PUT", "contacts/+4930123456", put).await.status, 201);
    assert_eq!(ask(&site, "PUT", "contacts/030123456", put).await.status, 204);
    let found = ask(&site, "GET", "contacts/004930123456", "").await.json();
    assert_eq!((&found["number"], &found["name"], &found["earlier"]), (&json!("+4930123456"), &json!("Ada Weber"), &json!([])));
    assert_eq!(ask(&site, "GET", "contacts?tag=vip", "").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(ask(&site, "GET", "contacts?tag=none", "").await.json()["items"], json!([]));
    let bad = ask(&site, "PUT", "contacts/+4930123456", r#"{"tags":["a b"]}"#).await.problem(422);
    assert!(bad.contains("`a b` is no tag"), "{bad}");
    ask(&site, "GET", "contacts/12", "").await.problem(404);
    assert_eq!(ask(&site, "DELETE", "contacts/+4930123456", "").await.status, 204);
    ask(&site, "DELETE", "contacts/+4930123456", "").await.problem(404);
    ask(&site, "GET", "contacts/+4930123456", "").await.problem(404);
}

#[tokio::test]
async fn a_list_larger_than_other_requests_is_taken_whole_or_not_at_all() {
    let site = Site::new();
    let lines: Vec<String> = (0..2_000).map(|n| format!("+49301{n:06};Customer {n}")).collect();
    let list = format!("number;name\n{}\n", lines.join("\n"));
    assert!(list.len() > 16 * 1_024);
    let bad = ask(&site, "POST", "contacts/import", &format!("{list}12;Nobody\n")).await;
    assert_eq!(bad.problem(422), "1 lines cannot be taken; nothing was");
    assert_eq!(bad.json()["lines"][0]["line"], 2_002);
    assert_eq!(ask(&site, "GET", "contacts", "").await.json()["items"], json!([]));
    let taken = ask(&site, "POST", "contacts/import", &list).await;
    assert_eq!(taken.json(), json!({"added": 2_000, "changed": 0, "unchanged": 0}));
    let mut numbers = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = ask(&site, "GET", &format!("contacts?limit=900&cursor={}", cursor.replace('+', "%2B")), "").await.json();
        numbers.extend(page["items"].as_array().unwrap().iter().map(|one| one["number"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(numbers.len(), 2_000);
    let out = String::from_utf8(ask(&site, "GET", "contacts.csv", "").await.body).unwrap();
    assert_eq!(out.lines().count(), 2_001);
    let again = ask(&site, "POST", "contacts/import", &out).await;
    assert_eq!(again.json(), json!({"added": 0, "changed": 0, "unchanged": 2_000}));
}
