// Uses a client that openapi-generator made (typescript-fetch): BASE MOMENT TOKEN FRONT BACK; prints a line for each step.
import { readFile } from "node:fs/promises";
import { Configuration, GetPhotoSideEnum, GetPhotoSizeEnum, MomentsApi, PostsApi, ResponseError } from "./generated/index.js";

const [base, momentId, accessToken, front, back] = process.argv.slice(2) as [string, string, string, string, string];
const settings = new Configuration({ basePath: base, accessToken });
const posts = new PostsApi(settings);
const file = async (path: string) => new File([new Uint8Array(await readFile(path))], "photo.jpg", { type: "image/jpeg" });

const made = await new MomentsApi(settings).uploadRaw({
  momentId,
  front: await file(front),
  back: await file(back),
  meta: '{"caption":"hello"}',
});
let post = await made.value();
console.log(made.raw.status, post.id);
while (post.state === "accepted") post = await posts.getPost({ postId: post.id, wait: 3 });
console.log(post.state);
const picture = await posts.getPhoto({ postId: post.id, side: GetPhotoSideEnum.Front, size: GetPhotoSizeEnum.Thumb });
console.log(Buffer.from(await picture.arrayBuffer()).subarray(0, 2).toString("hex"));
console.log(((await posts.getPostMeta({ postId: post.id })) as { caption: string }).caption);
try {
  await posts.getPost({ postId: post.id.slice(0, 26) + "-no-such-moment" });
} catch (error) {
  console.log((await (error as ResponseError).response.json()).code);
}
