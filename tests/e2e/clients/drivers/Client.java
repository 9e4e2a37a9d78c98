// Uses a client that openapi-generator made (java): BASE MOMENT TOKEN FRONT BACK; prints a line for each step.
import java.io.File;
import java.nio.file.Files;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.ApiResponse;
import org.openapitools.client.api.MomentsApi;
import org.openapitools.client.api.PostsApi;
import org.openapitools.client.model.PostView;
import org.openapitools.client.model.Problem;

class Client {
    public static void main(String[] words) throws Exception {
        ApiClient client = new ApiClient().setBasePath(words[0]);
        client.setBearerToken(words[2]);
        PostsApi posts = new PostsApi(client);
        ApiResponse<PostView> made =
                new MomentsApi(client)
                        .uploadWithHttpInfo(
                                words[1], new File(words[3]), new File(words[4]), null, null, "{\"caption\":\"hello\"}");
        PostView post = made.getData();
        System.out.println(made.getStatusCode() + " " + post.getId());
        while (post.getState() == PostView.StateEnum.ACCEPTED) post = posts.getPost(post.getId(), 3);
        System.out.println(post.getState());
        byte[] picture = Files.readAllBytes(posts.getPhoto(post.getId(), "front", "thumb").toPath());
        System.out.printf("%02x%02x%n", picture[0], picture[1]);
        System.out.println(((Map<?, ?>) posts.getPostMeta(post.getId())).get("caption"));
        try {
            posts.getPost(post.getId().substring(0, 26) + "-no-such-moment", null);
        } catch (ApiException refused) {
            System.out.println(Problem.fromJson(refused.getResponseBody()).getCode());
        }
        System.exit(0);
    }
}
