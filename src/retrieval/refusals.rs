//! Embedding where the server refuses a text: the others go on.
//!
//! A reply never says which text was too long, so a refused batch is halved until the culprit is
//! alone, and that is shortened until the server takes it or there is little left. A server that takes
//! nothing at all is another matter: then nothing is given up.

use std::ops::Range;

use crate::llm::{self, EmbeddingModel};
use crate::providers::{Error, Kind};
use crate::state::App;

/// By half each.
const SHORTENINGS: usize = 4;
/// Less than a header's length says nothing of a passage.
const SHORTEST: usize = 60;
/// What every model can embed.
const HARMLESS: &str = "word";

/// Vectors for texts, and what is known of the one who makes them.
pub(super) struct Patient<'a> {
    app: &'a App,
    model: &'a EmbeddingModel,
    /// It has made a vector, so that a refusal is about the text.
    works: bool,
}

impl<'a> Patient<'a> {
    pub const fn new(app: &'a App, model: &'a EmbeddingModel) -> Self {
        Self {
            app,
            model,
            works: false,
        }
    }

    /// In the order of the texts; none for a text that is refused however short.
    pub async fn embed(&mut self, texts: &[String]) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let mut vectors = vec![None; texts.len()];
        let mut ranges: Vec<Range<usize>> = std::iter::once(0..texts.len()).collect();
        while let Some(range) = ranges.pop() {
            let error = match self.ask(texts[range.clone()].to_vec()).await {
                Ok(made) => {
                    for (place, vector) in vectors[range].iter_mut().zip(made) {
                        *place = Some(vector);
                    }
                    continue;
                }
                Err(error) => error,
            };
            self.judge(error).await?;
            let middle = range.start + range.len() / 2;
            if range.len() > 1 {
                ranges.extend([middle..range.end, range.start..middle]);
            } else {
                vectors[range.start] = self.shortened(&texts[range.start]).await?;
            }
        }
        Ok(vectors)
    }

    async fn ask(&mut self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, Error> {
        let vectors = llm::embed(self.app, self.model, texts).await?;
        self.works = true;
        Ok(vectors)
    }

    /// Goes on only when the refusal is about the texts.
    async fn judge(&mut self, error: Error) -> Result<(), Error> {
        if error.kind != Kind::Invalid {
            return Err(error);
        }
        if !self.works {
            self.ask(vec![HARMLESS.to_owned()]).await?;
        }
        Ok(())
    }

    async fn shortened(&mut self, text: &str) -> Result<Option<Vec<f32>>, Error> {
        let mut text = text;
        for _ in 0..SHORTENINGS {
            text = text[..text.floor_char_boundary(text.len() / 2)].trim_end();
            if text.len() < SHORTEST {
                break;
            }
            match self.ask(vec![text.to_owned()]).await {
                Ok(mut made) => return Ok(made.pop()),
                Err(error) => self.judge(error).await?,
            }
        }
        // It may have begun to refuse everything since.
        self.ask(vec![HARMLESS.to_owned()]).await?;
        Ok(None)
    }
}
