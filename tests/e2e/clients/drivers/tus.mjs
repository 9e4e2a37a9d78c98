// Uploads a pair with tus-js-client in its IETF mode: BASE MOMENT TOKEN FRONT BACK PROTOCOL; prints a line for each answer.
import { readFile } from "node:fs/promises";
import { Upload } from "tus-js-client";

const [base, moment, token, front, back, protocol] = process.argv.slice(2);
const form = new FormData();
for (const [name, path] of Object.entries({ front, back })) form.append(name, new Blob([await readFile(path)]), `${name}.jpg`);
const encoded = new Response(form);
const file = Buffer.from(await encoded.arrayBuffer());

const upload = new Upload(file, {
  protocol,
  endpoint: `${base}/v1/moments/${moment}/posts`,
  headers: { Authorization: `Bearer ${token}` },
  retryDelays: [200, 400, 800, 1600],
  onBeforeRequest(request) {
    if (request.getMethod() === "POST") request.setHeader("Content-Type", encoded.headers.get("Content-Type"));
  },
  onAfterResponse: (request, response) => console.log(request.getMethod(), response.getStatus()),
  onError: (error) => console.log("error", error.message),
  onSuccess({ lastResponse }) {
    const text = lastResponse.getBody();
    console.log(lastResponse.getStatus(), text ? JSON.parse(text).id : "no post in this answer");
  },
});
upload.start();
