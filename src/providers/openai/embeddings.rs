//! Embeddings.

use async_openai::types::embeddings::{CreateEmbeddingRequest, EmbeddingInput, EncodingFormat};
use serde::Deserialize;

use super::{Client, Error, Kind, Usage, http};

/// Some 2,048 vectors of 3,072 numbers as JSON text.
const BODY_LIMIT: usize = 128 << 20;

/// Texts to embed: at most 2,048, none empty, each within the model's limit.
#[derive(Clone, Debug)]
pub struct EmbeddingRequest {
    pub model: String,
    pub texts: Vec<String>,
    pub dimensions: Option<u16>,
}

#[derive(Deserialize)]
struct Reply {
    data: Vec<Row>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    index: Option<usize>,
    embedding: Vec<f32>,
}

impl Client {
    /// Unit vectors in the order of the texts, and what they cost.
    pub async fn embed(&self, request: EmbeddingRequest) -> Result<(Vec<Vec<f32>>, Usage), Error> {
        let count = request.texts.len();
        let body = CreateEmbeddingRequest {
            model: request.model,
            input: EmbeddingInput::StringArray(request.texts),
            encoding_format: Some(EncodingFormat::Float),
            user: None,
            dimensions: request.dimensions.map(u32::from),
        };
        let response = self.post(&self.embeddings_url, &body).await?;
        let bytes = http::body_within(response, BODY_LIMIT).await?;
        let reply: Reply = serde_json::from_slice(&bytes)
            .map_err(|_| Error::new(Kind::Nonsense, "the reply holds no embeddings"))?;
        let vectors = in_order(reply.data, count)?;
        Ok((vectors, reply.usage.unwrap_or_default()))
    }
}

fn in_order(rows: Vec<Row>, count: usize) -> Result<Vec<Vec<f32>>, Error> {
    let nonsense = |words: &str| Error::new(Kind::Nonsense, words);
    if rows.len() != count {
        return Err(nonsense("the reply holds another number of embeddings"));
    }
    let mut vectors = vec![Vec::new(); count];
    for (place, row) in rows.into_iter().enumerate() {
        let slot = vectors
            .get_mut(row.index.unwrap_or(place))
            .filter(|slot| slot.is_empty())
            .ok_or_else(|| nonsense("the reply's indexes are off"))?;
        *slot =
            unit(row.embedding).ok_or_else(|| nonsense("an embedding is empty or not finite"))?;
    }
    let length = vectors.first().map_or(0, Vec::len);
    if vectors.iter().any(|vector| vector.len() != length) {
        return Err(nonsense("the embeddings differ in length"));
    }
    Ok(vectors)
}

/// Not every local model normalises; distances are compared as if all did.
fn unit(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if !length.is_finite() || length <= 0.0 {
        return None;
    }
    for x in &mut vector {
        *x /= length;
    }
    Some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: Option<usize>, embedding: &[f32]) -> Row {
        Row {
            index,
            embedding: embedding.to_vec(),
        }
    }

    #[test]
    fn rows_are_put_in_order_and_normalised() {
        let vectors = in_order(
            vec![row(Some(1), &[0.0, 2.0]), row(Some(0), &[3.0, 0.0])],
            2,
        )
        .unwrap();
        assert_eq!(vectors, [[1.0, 0.0], [0.0, 1.0]]);
    }

    #[test]
    fn nonsense_is_refused() {
        for rows in [
            vec![row(None, &[1.0])],
            vec![row(Some(0), &[1.0]), row(Some(0), &[1.0])],
            vec![row(Some(0), &[1.0]), row(Some(7), &[1.0])],
            vec![row(None, &[1.0]), row(None, &[1.0, 2.0])],
            vec![row(None, &[0.0]), row(None, &[1.0])],
            vec![row(None, &[]), row(None, &[1.0])],
        ] {
            assert_eq!(in_order(rows, 2).unwrap_err().kind, Kind::Nonsense);
        }
    }
}
