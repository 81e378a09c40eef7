use super::*;

async fn refresh(stage: &Stage, path: &str, token: &str) -> (u16, Value) {
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    form(stage, path, &fields).await
}

#[tokio::test]
async fn a_consent_becomes_tokens_and_a_refresh_repeats_its_token() {
    let stage = stage().await;
    let tokens = install(&stage, "crm.objects.deals.read").await;
    assert_eq!(tokens["hub_id"], json!(PORTAL));
    assert_eq!(tokens["user_id"], json!(USER));
    assert_eq!(tokens["expires_in"], json!(1800));
    assert_eq!(tokens["token_use"], json!("access_token"));
    assert_eq!(tokens["scopes"][3], json!("crm.objects.deals.read"));
    assert!(tokens["access_token"].as_str().unwrap().len() > 400);

    let old = tokens["refresh_token"].as_str().unwrap();
    for version in ["v1", "v3", "2026-03", "2026-09"] {
        let (status, body) = refresh(&stage, &format!("/oauth/{version}/token"), old).await;
        assert_eq!(status, 200);
        assert_eq!(body["refresh_token"], tokens["refresh_token"]);
        assert_ne!(body["access_token"], tokens["access_token"]);
        assert_eq!(body.get("hub_id").is_none(), version == "v1");
    }
    assert_eq!(refresh(&stage, "/oauth/v2/token", old).await.0, 404);
    stage.world().hubspot().set_short_token_replies(true);
    let (_, body) = refresh(&stage, "/oauth/2026-03/token", old).await;
    assert!(body.get("hub_id").is_none() && body.get("scopes").is_none());
}

#[tokio::test]
async fn the_state_comes_back_and_so_does_a_refusal() {
    let stage = stage().await;
    let error = "access_denied".to_owned();
    stage.world().hubspot().decide(Decision::Refuse { error });
    let back = authorize(&stage, &[]).await;
    assert_eq!(returned(&back, "error").unwrap(), "access_denied");
    assert!(returned(&back, "error_description").is_some());
    assert_eq!(returned(&back, "state").unwrap(), "s&=1");
    assert!(returned(&back, "code").is_none());
}

#[tokio::test]
async fn a_wrong_link_ends_on_a_page_of_hubspots_own() {
    let stage = stage().await;
    for wrong in [
        ("scope", "oauth crm.objects.contacts.read"),
        ("scope", &format!("{SCOPES} crm.objects.deals.read")),
        ("redirect_uri", "https://advisor.example.com/elsewhere"),
        (
            "redirect_uri",
            "http://advisor.example.com/api/auth/hubspot/callback",
        ),
        ("client_id", "another"),
    ] {
        let response = authorize(&stage, &[wrong]).await;
        assert_eq!(response.status(), 400, "{wrong:?}");
    }
}

#[tokio::test]
async fn the_page_asks_which_account_and_its_form_leads_back() {
    let stage = stage().await;
    let page = authorize(&stage, &[]).await.text().await.unwrap();
    assert!(page.contains("4242:9001") && page.contains("advisor@example.com"));
    let fields = [
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", SCOPES),
        ("state", "x"),
        ("account", "4242:9001"),
    ];
    for (decision, name) in [("allow", "code"), ("deny", "error")] {
        let mut fields = fields.to_vec();
        fields.push(("decision", decision));
        let request = stage.http.post(stage.at("/oauth/authorize")).form(&fields);
        let back = request.send().await.unwrap();
        assert!(returned(&back, name).is_some());
        assert_eq!(returned(&back, "state").unwrap(), "x");
    }
}

#[tokio::test]
async fn what_the_plan_lacks_is_dropped_without_a_word() {
    let stage = stage().await;
    let hubspot = stage.world().hubspot();
    hubspot.set_lacking(PORTAL, &["crm.objects.deals.read"]);
    let tokens = install(&stage, "crm.objects.deals.read").await;
    assert_eq!(tokens["scopes"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_code_works_once_for_its_redirect_and_its_verifier() {
    let stage = stage().await;
    let (portal, user) = (PORTAL, USER);
    let path = "/oauth/2026-03/token";
    // RFC 7636, appendix B.
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let cases = [
        (CALLBACK, verifier, 200, Value::Null),
        (CALLBACK, "another", 400, json!("BAD_AUTH_CODE")),
        (
            "https://x.example/api/auth/hubspot/callback",
            verifier,
            400,
            json!("MISMATCH_REDIRECT_URI_AUTH_CODE"),
        ),
    ];
    for (redirect, verifier, expected, word) in cases {
        let hubspot = stage.world().hubspot();
        hubspot.decide(Decision::Allow { portal, user });
        let back = authorize(
            &stage,
            &[
                ("code_challenge", challenge),
                ("code_challenge_method", "S256"),
            ],
        )
        .await;
        let code = returned(&back, "code").unwrap();
        let fields = [
            ("grant_type", "authorization_code"),
            ("redirect_uri", redirect),
            ("code", &code),
            ("code_verifier", verifier),
        ];
        let (status, body) = form(&stage, path, &fields).await;
        assert_eq!((status, &body["status"]), (expected, &word));
        let (status, body) = form(&stage, path, &fields).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
        assert_eq!(body["status"], json!("BAD_AUTH_CODE"));
    }
}

#[tokio::test]
async fn credentials_are_wanted_in_the_body() {
    let stage = stage().await;
    let wrong = [("client_id", "another"), ("grant_type", "refresh_token")];
    let (status, body) = form(&stage, "/oauth/v3/token", &wrong).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_client")));
    let wrong = [("client_secret", "x"), ("grant_type", "refresh_token")];
    let (status, body) = form(&stage, "/oauth/v3/token", &wrong).await;
    assert_eq!(
        (status, &body["status"]),
        (401, &json!("BAD_CLIENT_SECRET"))
    );
    let query = format!("/oauth/v3/token?client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let empty: [(&str, &str); 0] = [];
    let request = stage.http.post(stage.at(&query)).form(&empty);
    assert_eq!(request.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn introspection_tells_the_account_until_the_token_ends() {
    let stage = stage().await;
    let tokens = install(&stage, "").await;
    let access = tokens["access_token"].as_str().unwrap();
    let path = "/oauth/2026-03/token/introspect";
    let (_, body) = form(&stage, path, &[("token", access)]).await;
    assert_eq!(body["active"], json!(true));
    assert_eq!(body["hub_id"], json!(PORTAL));
    assert_eq!(body["hub_domain"], json!("advisor.example.com"));
    assert_eq!(body["user"], json!("advisor@example.com"));
    let old = stage.at(&format!("/oauth/v1/access-tokens/{access}"));
    let body: Value = stage
        .http
        .get(&old)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(body["user_id"], json!(USER));

    stage.world().hubspot().expire_access_tokens();
    let (_, body) = form(&stage, path, &[("token", access)]).await;
    assert_eq!(body, json!({"active": false}));
    assert_eq!(stage.http.get(&old).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_revoked_or_uninstalled_grant_is_a_bad_refresh_token() {
    let stage = stage().await;
    for end in ["call", "handle", "uninstall"] {
        let tokens = install(&stage, "").await;
        let token = tokens["refresh_token"].as_str().unwrap();
        assert_eq!(refresh(&stage, "/oauth/v3/token", token).await.0, 200);
        match end {
            "call" => {
                let path = "/oauth/2026-03/token/revoke";
                let (status, _) = form(&stage, path, &[("token", token)]).await;
                assert_eq!(status, 204);
            }
            "handle" => stage.world().hubspot().revoke(PORTAL),
            _ => stage.world().hubspot().uninstall(PORTAL),
        }
        let (status, body) = refresh(&stage, "/oauth/v3/token", token).await;
        assert_eq!(status, 400);
        assert_eq!(body["status"], json!("BAD_REFRESH_TOKEN"));
        assert_eq!(body["error"], json!("invalid_grant"));
        assert_eq!(body["message"], body["error_description"]);
    }
}
