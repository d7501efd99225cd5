import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.s3a.commit.magic.MagicS3GuardCommitterFactory;
import org.apache.hadoop.io.NullWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.JobID;
import org.apache.hadoop.mapreduce.OutputCommitter;
import org.apache.hadoop.mapreduce.RecordWriter;
import org.apache.hadoop.mapreduce.TaskAttemptID;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.TaskID;
import org.apache.hadoop.mapreduce.TaskType;
import org.apache.hadoop.mapreduce.lib.output.PathOutputCommitter;
import org.apache.hadoop.mapreduce.lib.output.TextOutputFormat;
import org.apache.hadoop.mapreduce.task.TaskAttemptContextImpl;

/** Hadoop's S3A does a day's work: its settings are arguments, NAME=VALUE; tests/apps/test_hadoop.py starts it and looks at what it leaves. */
public class Day {
    static Configuration configuration = new Configuration();
    static FileSystem fs;
    static Path root;

    public static void main(String[] arguments) throws Exception {
        for (String setting : arguments) configuration.set(setting.split("=", 2)[0], setting.split("=", 2)[1]);
        root = new Path("s3a://" + System.getenv("DAY_BUCKET") + "/");
        fs = FileSystem.newInstance(root.toUri(), configuration);
        files(bytes(12 << 20));
        folders();
        job();
        fs.close();
    }

    /** Written in parts, read here and there, renamed, overwritten. */
    static void files(byte[] body) throws Exception {
        Path file = new Path(root, "files/large"), moved = new Path(root, "files/moved here");
        try (FSDataOutputStream out = fs.create(file)) {
            for (int at = 0; at < body.length; at += 1 << 20) out.write(body, at, 1 << 20);
        }
        expect(fs.getFileStatus(file).getLen() == body.length);
        try (FSDataInputStream in = fs.open(file)) {
            byte[] found = new byte[100_000];
            for (int at : new int[] {11_000_000, 0, 5 << 20}) {
                in.readFully(at, found);
                expect(Arrays.equals(found, Arrays.copyOfRange(body, at, at + found.length)));
            }
        }
        expect(fs.rename(file, moved));
        expect(Arrays.equals(read(moved), body));
        try {
            fs.open(file).read();
            throw new AssertionError("it is still there");
        } catch (FileNotFoundException gone) {
            write(file, Arrays.copyOf(body, 1000));
        }
        write(file, Arrays.copyOf(body, 2000));
        expect(Arrays.equals(read(file), Arrays.copyOf(body, 2000)));
    }

    /** A tree of files, renamed as a whole and partly deleted. */
    static void folders() throws Exception {
        TreeSet<String> names = new TreeSet<>();
        for (int number = 0; number < 40; number++) {
            String name = String.format("day=%d/part %02d", number % 4, number);
            names.add(name);
            write(new Path(root, "tree/" + name), bytes(number * 100));
        }
        expect(fs.rename(new Path(root, "tree"), new Path(root, "renamed")));
        expect(!fs.exists(new Path(root, "tree")));
        TreeSet<String> found = new TreeSet<>();
        var all = fs.listFiles(new Path(root, "renamed"), true);
        while (all.hasNext()) {
            String path = all.next().getPath().toUri().getPath();
            found.add(path.substring("/renamed/".length()));
        }
        expect(found.equals(names));
        expect(fs.delete(new Path(root, "renamed/day=3"), true));
        expect(fs.listStatus(new Path(root, "renamed")).length == 3);
        fs.mkdirs(new Path(root, "empty/folder"));
        expect(fs.getFileStatus(new Path(root, "empty/folder")).isDirectory());
    }

    /** A job's output by the magic committer: what a task wrote shows when the job is committed, and what was aborted never. */
    static void job() throws Exception {
        Path output = new Path(root, "output");
        OutputCommitter committer = null;
        TaskAttemptContext last = null;
        for (int task = 0; task < 3; task++) {
            TaskAttemptContext attempt = last = attempt(output, task);
            committer = committerOf(attempt, output);
            if (task == 0) committer.setupJob(attempt);
            committer.setupTask(attempt);
            var format = new TextOutputFormat<Text, NullWritable>() {
                @Override
                public Path getDefaultWorkFile(TaskAttemptContext context, String extension) throws IOException {
                    return new Path(committerOf(context, output).getWorkPath(), getUniqueFile(context, "part", extension));
                }
            };
            RecordWriter<Text, NullWritable> writer = format.getRecordWriter(attempt);
            for (int row = 0; row < 1000; row++) writer.write(new Text("task " + task + " row " + row), NullWritable.get());
            writer.close(attempt);
            if (task == 2) committer.abortTask(attempt);
            else committer.commitTask(attempt);
            expect(parts(output) == 0);
        }
        committer.commitJob(last);
        expect(parts(output) == 2);
        expect(new String(read(new Path(output, "part-m-00001"))).startsWith("task 1 row 0\ntask 1 row 1\n"));
        expect(fs.getFileStatus(new Path(output, "_SUCCESS")).getLen() > 0);
    }

    static PathOutputCommitter committerOf(TaskAttemptContext attempt, Path output) throws IOException {
        return new MagicS3GuardCommitterFactory().createOutputCommitter(output, attempt);
    }

    static TaskAttemptContext attempt(Path output, int task) {
        Configuration own = new Configuration(configuration);
        own.set("mapreduce.output.fileoutputformat.outputdir", output.toString());
        own.set("fs.s3a.committer.uuid", "a-job-of-the-test");
        return new TaskAttemptContextImpl(own, new TaskAttemptID(new TaskID(new JobID("202611280000", 1), TaskType.MAP, task), 0));
    }

    static int parts(Path output) throws Exception {
        int found = 0;
        if (!fs.exists(output)) return 0;
        for (FileStatus status : fs.listStatus(output)) if (status.getPath().getName().startsWith("part-")) found++;
        return found;
    }

    static void write(Path path, byte[] body) throws Exception {
        try (FSDataOutputStream out = fs.create(path, true)) {
            out.write(body);
        }
    }

    static byte[] read(Path path) throws Exception {
        try (FSDataInputStream in = fs.open(path)) {
            return in.readAllBytes();
        }
    }

    static byte[] bytes(int length) {
        byte[] bytes = new byte[length];
        new Random().nextBytes(bytes);
        return bytes;
    }

    static void expect(boolean holds) {
        if (!holds) throw new AssertionError();
    }
}
