// Upload a pair with fetch: node fetch.mjs BASE MOMENT TOKEN FRONT BACK. Below `main` it runs in browsers as it is.
import { readFile } from "node:fs/promises";

const RETRIED = new Set([408, 429, 502, 503, 504, 507]);
const TRIES = 12;
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const random = (from, to) => from + Math.random() * (to - from);

// The final answer; every try sends the same bytes, with the last ticket.
async function upload(base, moment, token, front, back) {
  const form = new FormData();
  form.append("front", new Blob([front], { type: "image/jpeg" }), "front.jpg");
  form.append("back", new Blob([back], { type: "image/jpeg" }), "back.jpg");
  // fetch makes a new boundary for each FormData that it sends. Encoded once, the bytes are the same in every try.
  const encoded = new Response(form);
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": encoded.headers.get("Content-Type") };
  const body = await encoded.arrayBuffer();
  let backoff = 0.2;
  for (let left = TRIES - 1; ; left--) {
    let wait = random(0.1, backoff);
    try {
      const signal = AbortSignal.timeout(300_000);
      const answer = await fetch(`${base}/v1/moments/${moment}/posts`, { method: "POST", body, headers, signal });
      if (!RETRIED.has(answer.status) || !left) return answer;
      const ticket = answer.headers.get("Snapsurge-Ticket");
      if (ticket) headers["Snapsurge-Ticket"] = ticket;
      const asked = Number(answer.headers.get("Retry-After"));
      if (asked) wait = asked * random(1, 1.1);
      await answer.arrayBuffer();
    } catch (error) {
      backoff = Math.min(backoff * 2, 5);
      if (!left) throw error;
    }
    await sleep(wait);
  }
}

// The post when it is ready or rejected, or as it is when patience ends.
async function settled(base, token, post, patience = 300) {
  const ends = Date.now() + patience * 1000;
  while (post.state === "accepted" && Date.now() < ends) {
    const began = Date.now();
    const url = new URL(`${post.links.self}?wait=25`, base);
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
    const found = await answer.json();
    if (answer.ok) post = found;
    if (post.state === "accepted" && Date.now() - began < 20_000) await sleep(1);
  }
  return post;
}

async function main(base, moment, token, front, back) {
  const answer = await upload(base, moment, token, await readFile(front), await readFile(back));
  const post = await answer.json();
  if (!answer.ok) {
    console.log(answer.status, post.code);
    process.exit(1);
  }
  console.log(answer.status, post.id, post.received_at);
  console.log((await settled(base, token, post)).state);
}

await main(...process.argv.slice(2));
