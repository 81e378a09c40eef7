//! What the assistant says after its answer, when what it was asked for is done or needs the user.

use serde_json::{Value, json};

use super::store::{self, Message};
use crate::agent::{AssistantRun, Mode, Said};
use crate::state::App;
use crate::tasks::{Context, Failure, Handler, OrFailure as _, Payload as _};

impl Handler<App> for Said {
    async fn run(self, context: Context<App>) -> Result<Value, Failure> {
        let now = context.app.clock.now();
        let mut tx = context.begin().await?;
        let message = Message {
            // Said again after a crash, it is the same message.
            id: context.task_id,
            role: "assistant".to_owned(),
            mode: Some(Mode::Model.name().to_owned()),
            text: self.text,
            citations: json!(self.citations),
            tool_calls: json!([{
                "name": AssistantRun::KIND, "input": {}, "output": self.shown, "ok": true,
            }]),
            warnings: json!([]),
            usage: None,
            complete: true,
            created_at: now,
        };
        store::append(&mut tx, self.conversation_id, &message)
            .await
            .or_retry()?;
        store::touch(&mut tx, self.conversation_id, now)
            .await
            .or_retry()?;
        tx.commit().await.or_retry()?;
        Ok(json!({"conversation_id": self.conversation_id}))
    }
}
