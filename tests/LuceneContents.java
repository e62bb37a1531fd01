import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.apache.lucene.index.BinaryDocValues;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.FieldInfo;
import org.apache.lucene.index.LeafReader;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.StoredFieldVisitor;
import org.apache.lucene.index.Terms;
import org.apache.lucene.index.TermsEnum;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.util.BytesRef;

/**
 * Prints all that the segments of Lucene indexes hold in packed form, a value a line, that of deleted
 * documents included: the terms of their dictionaries, the values of their columns, stored fields.
 */
public class LuceneContents {
    private static final OutputStream OUT = new BufferedOutputStream(System.out);

    public static void main(String[] folders) throws IOException {
        for (String folder : folders) {
            try (var files = FSDirectory.open(Path.of(folder)); var index = DirectoryReader.open(files)) {
                for (LeafReaderContext segment : index.leaves()) {
                    print(segment.reader());
                }
            }
        }
        OUT.flush();
    }

    private static void print(LeafReader segment) throws IOException {
        for (FieldInfo field : segment.getFieldInfos()) {
            Terms terms = segment.terms(field.name);
            if (terms != null) {
                print(terms.iterator());
            }
            switch (field.getDocValuesType()) {
                case SORTED -> print(segment.getSortedDocValues(field.name).termsEnum());
                case SORTED_SET -> print(segment.getSortedSetDocValues(field.name).termsEnum());
                case BINARY -> {
                    BinaryDocValues column = segment.getBinaryDocValues(field.name);
                    while (column.nextDoc() != BinaryDocValues.NO_MORE_DOCS) {
                        print(column.binaryValue());
                    }
                }
                default -> { }
            }
        }
        var stored = segment.storedFields();
        for (int document = 0; document < segment.maxDoc(); document++) {
            stored.document(document, new Printing());
        }
    }

    private static void print(TermsEnum terms) throws IOException {
        for (BytesRef term = terms.next(); term != null; term = terms.next()) {
            print(term);
        }
    }

    private static void print(BytesRef value) throws IOException {
        OUT.write(value.bytes, value.offset, value.length);
        OUT.write('\n');
    }

    private static class Printing extends StoredFieldVisitor {
        @Override
        public Status needsField(FieldInfo field) {
            return Status.YES;
        }

        @Override
        public void stringField(FieldInfo field, String value) throws IOException {
            print(new BytesRef(value.getBytes(StandardCharsets.UTF_8)));
        }

        @Override
        public void binaryField(FieldInfo field, byte[] value) throws IOException {
            print(new BytesRef(value));
        }
    }
}
