// Upload a pair with URLSession (iOS 15, macOS 12): upload BASE MOMENT TOKEN FRONT BACK. Not run by the project's tests.
import Foundation

let retried: Set<Int> = [408, 429, 502, 503, 504, 507]
let tries = 12

// The body and its Content-Type. Built once, so that every try sends the same bytes. `upload(for:from:)` sends them with
// a Content-Length; `httpBodyStream` would send chunks, which get no ticket.
func form(front: Data, back: Data) -> (body: Data, kind: String) {
    let boundary = UUID().uuidString
    var body = Data()
    for (name, photo) in [("front", front), ("back", back)] {
        let head = "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"; filename=\"\(name).jpg\"\r\n"
        body.append(Data((head + "Content-Type: image/jpeg\r\n\r\n").utf8))
        body.append(photo)
        body.append(Data("\r\n".utf8))
    }
    body.append(Data("--\(boundary)--\r\n".utf8))
    return (body, "multipart/form-data; boundary=\(boundary)")
}

// The final answer; every try sends the same bytes, with the last ticket. URLSession has no Expect.
func upload(base: URL, moment: String, token: String, front: Data, back: Data) async throws -> (HTTPURLResponse, Data) {
    let (body, kind) = form(front: front, back: back)
    var request = URLRequest(url: base.appendingPathComponent("v1/moments/\(moment)/posts"))
    request.httpMethod = "POST"
    request.timeoutInterval = 60  // the longest silence, not the whole time
    request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
    request.setValue(kind, forHTTPHeaderField: "Content-Type")
    var backoff = 0.2
    for left in (0..<tries).reversed() {
        var wait = Double.random(in: 0.1...max(backoff, 0.11))
        do {
            let (data, response) = try await URLSession.shared.upload(for: request, from: body)
            let answer = response as! HTTPURLResponse
            if !retried.contains(answer.statusCode) || left == 0 { return (answer, data) }
            if let ticket = answer.value(forHTTPHeaderField: "Snapsurge-Ticket") {
                request.setValue(ticket, forHTTPHeaderField: "Snapsurge-Ticket")
            }
            if let asked = answer.value(forHTTPHeaderField: "Retry-After").flatMap(Double.init) {
                wait = asked * Double.random(in: 1...1.1)
            }
        } catch let error as URLError where left > 0 && error.code != .cancelled {
            backoff = min(backoff * 2, 5)
        }
        try await Task.sleep(nanoseconds: UInt64(wait * 1e9))
    }
    fatalError("not reached")
}

struct Post: Decodable {
    let id: String
    let state: String
    let received_at: String
    let links: [String: String]
}

// The post when it is ready or rejected, or as it is when patience ends.
func settled(base: URL, token: String, post: Post, patience: TimeInterval = 300) async throws -> Post {
    var post = post
    let ends = Date().addingTimeInterval(patience)
    while post.state == "accepted" && Date() < ends {
        let began = Date()
        var request = URLRequest(url: URL(string: post.links["self"]! + "?wait=25", relativeTo: base)!)
        request.timeoutInterval = 40
        request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
        let (data, response) = try await URLSession.shared.data(for: request)
        if (response as? HTTPURLResponse)?.statusCode == 200 { post = try JSONDecoder().decode(Post.self, from: data) }
        if post.state == "accepted" && Date().timeIntervalSince(began) < 20 {
            try await Task.sleep(nanoseconds: 1_000_000_000)
        }
    }
    return post
}

@main
struct Upload {
    static func main() async throws {
        let words = CommandLine.arguments
        let base = URL(string: words[1])!
        let front = try Data(contentsOf: URL(fileURLWithPath: words[4]))
        let back = try Data(contentsOf: URL(fileURLWithPath: words[5]))
        let (answer, data) = try await upload(base: base, moment: words[2], token: words[3], front: front, back: back)
        guard answer.statusCode < 400 else {
            let problem = try JSONSerialization.jsonObject(with: data) as? [String: Any]
            print(answer.statusCode, problem?["code"] ?? "")
            exit(1)
        }
        let post = try JSONDecoder().decode(Post.self, from: data)
        print(answer.statusCode, post.id, post.received_at)
        print(try await settled(base: base, token: words[3], post: post).state)
    }
}
